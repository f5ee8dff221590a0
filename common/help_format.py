"""The help of a command, written for people who use it."""

import argparse
import re
from collections.abc import Iterable
from typing import Any

from common import urls

_YES = {"True": "yes", "False": "no"}


class HelpFormatter(argparse.HelpFormatter):
    """Writes the help of a command for people who use it, without names of the code.

    Args:
        prog: The command.
        section: Section of the TOML file.
        own: Settings that this command has beyond those of its section; they come first.
    """

    def __init__(self, prog: str, section: str, own: frozenset[str]) -> None:
        super().__init__(prog, max_help_position=30)
        self._section = section
        self._own = own

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None = None
    ) -> None:
        """Write the command and its positional arguments; argparse would list every option."""
        del usage
        positional = [f"[{action.dest}]" for action in actions if not action.option_strings]
        super().add_usage(" ".join(["%(prog)s", *positional, "[options]"]), (), groups, prefix)

    def start_section(self, heading: str | None) -> None:
        """Write a heading: what the options are, not the name of their class."""
        if heading and heading.endswith("Settings"):
            heading = "options of this command" if self._own else f"settings in [{self._section}]"
        super().start_section(heading)

    def add_text(self, text: str | None) -> None:
        """Write a paragraph, unless it only repeats the name of the class."""
        if text and not text.endswith("Settings options"):
            super().add_text(text)

    def add_arguments(self, actions: Iterable[argparse.Action]) -> None:
        """Write the options, what this command alone has first."""
        actions = list(actions)
        own = [action for action in actions if action.dest in self._own]
        if own:
            super().add_arguments(own)
            self.end_section()
            super().start_section(f"settings in [{self._section}]")
        super().add_arguments(action for action in actions if action not in own)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = re.sub(r" \[default: (\(\*+\))?\]$", "", action.help or "")
        return re.sub(
            r"\[default: (.*)\]$", lambda found: f"[default: {_default(action.dest, found[1])}]", text, flags=re.DOTALL
        )

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Any:
        if action.metavar in {"INT", "FLOAT"}:
            action.metavar = "NUMBER"
        return super()._metavar_formatter(action, default_metavar)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if len(action.option_strings) == 2 and action.option_strings[1].startswith("--no-"):
            return f"--[no-]{action.option_strings[0].removeprefix('--')}"
        return super()._format_action_invocation(action)


def _default(name: str, value: str) -> str:
    """Return a setting's value as help shows it, in which `%` stands for itself; the value may be the user's own."""
    is_url = name.endswith("_url") or name == "source"
    return _YES.get(value, urls.readable(value) if is_url else value).replace("%", "%%")
