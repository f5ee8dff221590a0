"""Writes docs/settings.md from the settings classes; a test compares the two.

Run `python tests/support/settings_table.py` after a change of a setting.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

import moodwire

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
OF_THE_MACHINE = {
    ("device", "name"): "the machine's name",
    ("device", "state_dir"): "`~/.local/state/moodwire`",
    ("bundle", "key_file"): "`~/.config/moodwire/bundle.key`",
}
"""Defaults that differ from machine to machine."""
INTRODUCTION = """# Settings

Each setting can be given in four ways; later ones win:

1. the default below,
2. a TOML file: the one that `MOODWIRE_CONFIG` names, else `~/.config/moodwire.toml`; each table below is a section,
3. the environment: `MOODWIRE_` and the name in capitals; or, with `_FILE` appended, the name of a file that holds the
   value, which suits secrets,
4. a flag: `--` and the name with hyphens (`--no-…` turns a yes/no setting off).

```toml
[device]
name = "Kitchen"
mqtt_url = "mqtts://moodwire.example:8883"
```

```sh
MOODWIRE_MQTT_PASSWORD_FILE=/run/secrets/kitchen moodwire device run --gate-dbfs -45
```

A value that is not right ends the command with exit code 2 and a sentence that names it. Secrets are never printed.
"""


def page() -> str:
    """Return the content of docs/settings.md."""
    parts = [INTRODUCTION]
    for section, commands in _sections().items():
        words = ", ".join(f"`moodwire {name}`" for name in commands)
        parts.append(f"\n## [{section}]: {words}\n\n| name | default | what |\n|---|---|---|\n")
        shared = attrs.fields(_settings(commands[0]))
        parts += [_row(section, field) for field in shared]
        parts += [_own(section, command, shared) for command in commands]
    return "".join(parts)


def _own(section: str, command: str, shared: Sequence[Any]) -> str:
    """Return the table of one command's settings beyond those of its section; empty if it has none."""
    known = {field.name for field in shared}
    rows = [_row(section, field) for field in attrs.fields(_settings(command)) if field.name not in known]
    head = f"\n`moodwire {command}` alone has these, as flags:\n\n| name | default | what |\n|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def _sections() -> dict[str, list[str]]:
    """Return the commands that share a section of the TOML file."""
    found: dict[str, list[str]] = {}
    for name, command in moodwire.COMMANDS.items():
        found.setdefault(command.section, []).append(name)
    return found


def _settings(command: str) -> Any:
    return moodwire._load(moodwire.COMMANDS[command].settings)


def _row(section: str, field: Any) -> str:
    default = OF_THE_MACHINE.get((section, field.name)) or _default(field)
    text = field.metadata["typed-settings"]["help"].rstrip(".").replace("|", "\\|")
    if text[1].islower():
        text = text[0].lower() + text[1:]
    return f"| `{field.name}` | {default} | {text} |\n"


def _default(field: Any) -> str:
    if not field.repr or callable(field.repr) or field.default in ("", None):
        return "none"
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    return f"`{field.default}`"


if __name__ == "__main__":
    PAGE.write_text(page())
