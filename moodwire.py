"""The command line: finds the command, reads its settings, and loads the one room that carries it out.

Settings come from, later over earlier: defaults, a TOML file (one section per room), the environment (`MOODWIRE_NAME`,
or `MOODWIRE_NAME_FILE` for the content of a file, which suits secrets), and flags.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # `python -m moodwire` looks into the current folder first, where a `redis.py` is not meant

import difflib
import importlib
import logging
import os
import tomllib
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import typed_settings as ts
from typed_settings.cli_argparse import make_parser, namespace2settings
from typed_settings.dict_utils import set_path
from typed_settings.loaders import Loader
from typed_settings.types import LoadedSettings, LoaderMeta, OptionList, SettingsClass

PREFIX = "MOODWIRE_"
ROOMS = {"broker", "common", "dashboard", "device", "models", "server", "training", "trials", "wiring"}


class _Rooms:
    """Finds our rooms beside this file, whatever `server.py` or `device/` comes first in the import path."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """Return where a room is; None for a name that is not ours."""
        return PathFinder.find_spec(name, [str(Path(__file__).parent)]) if path is None and name in ROOMS else None


sys.meta_path.insert(0, _Rooms)

from common import files, help_format, log_lines  # noqa: E402 - rooms are found beside this file from here on


class Command(NamedTuple):
    """One command: where it lives and what it is for."""

    section: str
    """Section of the TOML file."""
    settings: str
    """`module:Class` of its settings."""
    function: str
    """`module:function` that takes the settings and returns the exit code."""
    help: str


COMMANDS = {
    "demo": Command(
        "demo", "wiring.demo:DemoSettings", "wiring.demo:demo", "try everything on this machine: `make demo`"
    ),
    "setup": Command(
        "setup", "wiring.setup:SetupSettings", "wiring.setup:setup", "make secrets and the broker's configuration"
    ),
    "device run": Command("device", "device.settings:DeviceSettings", "device.cli:run", "listen, classify and publish"),
    "device mics": Command("device", "device.settings:DeviceSettings", "device.cli:mics", "list the microphones"),
    "device bench": Command(
        "device",
        "device.ops.bench:BenchSettings",
        "device.ops.bench:bench",
        "measure time and memory of the device on this machine",
    ),
    "device try": Command(
        "device", "device.ops.try_file:TrySettings", "device.ops.try_file:try_file", "say what it hears in a recording"
    ),
    "device doctor": Command(
        "device",
        "device.ops.doctor:DoctorSettings",
        "device.ops.doctor:doctor",
        "check everything that a device needs, and say what to do",
    ),
    "device calibrate": Command(
        "device",
        "device.ops.calibrate:CalibrateSettings",
        "device.ops.calibrate:calibrate",
        "measure the quiet room and set the speech gate above it",
    ),
    "device install": Command(
        "install",
        "device.ops.install:InstallSettings",
        "device.ops.install:install",
        "install the device as a systemd service",
    ),
    "server run": Command("server", "server.settings:ServerSettings", "server.cli:run", "serve the REST API"),
    "server ingest": Command(
        "server", "server.settings:ServerSettings", "server.cli:ingest", "store what the devices publish"
    ),
    "server token add": Command(
        "server",
        "server.ops.token_cli:NewTokenSettings",
        "server.ops.token_cli:add",
        "make a token for someone who uses the REST API",
    ),
    "server token list": Command(
        "server", "server.settings:ServerSettings", "server.ops.token_cli:show", "list the tokens, without secrets"
    ),
    "server token revoke": Command(
        "server", "server.ops.token_cli:TokenSettings", "server.ops.token_cli:revoke", "revoke a token"
    ),
    "server backup": Command(
        "server",
        "server.ops.backup:BackupSettings",
        "server.ops.backup:write",
        "write all data into a file while the server runs",
    ),
    "server restore": Command(
        "server",
        "server.ops.backup:RestoreSettings",
        "server.ops.backup:read",
        "restore a backup; may be repeated",
    ),
    "server alerts": Command(
        "server",
        "server.alerts.worker:AlertsSettings",
        "server.alerts.worker:alerts",
        "send alerts to webhooks and MQTT topics",
    ),
    "server doctor": Command(
        "server",
        "server.ops.doctor:DoctorSettings",
        "server.ops.doctor:doctor",
        "check everything that the server needs, and say what to do",
    ),
    "server live": Command("server", "server.settings:ServerSettings", "server.cli:live", "serve live events"),
    "dashboard": Command(
        "dashboard", "dashboard.settings:DashboardSettings", "dashboard.commands:run", "serve the live page"
    ),
    "bundle keygen": Command(
        "bundle", "models.commands:BundleSettings", "models.commands:keygen", "make the key that signs models"
    ),
    "bundle pack": Command(
        "bundle", "models.commands:BundleSettings", "models.commands:pack", "sign a model and pack it for devices"
    ),
    "bundle export": Command(
        "bundle", "training.targets:ExportSettings", "training.targets:export", "write a model for another runtime"
    ),
    "train": Command(
        "train", "training.settings:TrainSettings", "training.commands:train", "make a model and measure it honestly"
    ),
    "evaluate": Command(
        "train", "training.settings:EvaluateSettings", "training.commands:evaluate", "measure a trained model again"
    ),
    "report": Command(
        "train", "training.settings:ReportSettings", "training.report:report", "write the table of what was trained"
    ),
    "data fetch": Command(
        "train", "training.settings:FetchSettings", "training.fetch:fetch", "download the recordings that train a model"
    ),
    "data figures": Command(
        "train", "training.settings:FiguresSettings", "training.figures:figures", "plot what the recordings hold"
    ),
    "chaos": Command(
        "chaos",
        "trials.chaos.command:ChaosSettings",
        "trials.chaos.command:chaos",
        "break everything on purpose, and count what is lost or doubled",
    ),
    "chaos report": Command(
        "chaos",
        "trials.chaos.command:ReportSettings",
        "trials.chaos.command:report",
        "write the page of what chaos has measured",
    ),
}


HEADINGS = {
    "wiring": "Everything together",
    "device": "On a device",
    "server": "On the server",
    "dashboard": "The page",
    "models": "Signed models",
    "training": "Models of your own",
    "trials": "Trust",
}
"""Headings of `moodwire --help`, by the room that carries a command out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 when the command or a setting is not usable."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(f"moodwire {version('moodwire')}")
        return 0
    name = _match(words)
    if name is None:
        return _explain(words)
    command = COMMANDS[name]
    logging.basicConfig(level=logging.INFO, handlers=[log_lines.handler()])
    logging.getLogger("typed_settings").setLevel(logging.CRITICAL)  # the errors that it logs, it also raises
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # so do its, with the whole URL, in which a token may be
    try:
        settings_class = _load(command.settings)
        function = _load(command.function)
    except ImportError as error:
        return _misses(name, command, error)
    try:
        settings = read_settings(name, command.section, settings_class, words[len(name.split()) :])
    except (ValueError, TypeError, OSError, ts.exceptions.TsError) as error:
        print(f"moodwire {name}: {_sentence(error)}", file=sys.stderr)
        return 2
    return _run(name, command, function, settings)


def _run(name: str, command: Command, function: Any, settings: Any) -> int:
    """Run a command and return its exit code."""
    try:
        return int(function(settings))
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:  # heavy packages are imported late
        if (error.name or "").partition(".")[0] in ROOMS:
            raise
        return _misses(name, command, error)


def _misses(name: str, command: Command, error: ImportError) -> int:
    """Say which package a command needs, and what installs it; return the exit code."""
    room = command.function.partition(".")[0]
    extra = {"models": "device", "wiring": "demo", "trials": "dev"}.get(room, room)
    print(
        f"moodwire {name} needs a package that is not installed: {error}; run pip install 'moodwire[{extra}]'",
        file=sys.stderr,
    )
    return 2


def read_settings(name: str, section: str, settings_class: type[Any], flags: Sequence[str]) -> Any:
    """Return the settings of a command from file, environment and flags.

    Raises:
        ValueError, TypeError, OSError, typed_settings.exceptions.TsError: a value, or a file or a name in it, cannot be
            used.
        SystemExit: a flag cannot be used (argparse has said why), or it is `--help`.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - there may be no home
    loaders: list[Loader] = [
        ts.FileLoader({"*.toml": _Toml(section)}, files=_config_files(Path(base))),
        ts.EnvLoader(PREFIX),
        _SecretFileLoader(),
    ]
    parser, merged = make_parser(
        settings_class,
        loaders,
        prog=f"moodwire {name}",
        description=f"{COMMANDS[name].help[0].upper()}{COMMANDS[name].help[1:]}.",
        epilog=f"Each setting is also a name in [{section}] of the TOML file ~/.config/moodwire.toml, or of the file "
        f"that {PREFIX}CONFIG names, and an environment variable: {PREFIX} and the name in capitals.",
        formatter_class=partial(help_format.HelpFormatter, section=section, own=_own_options(settings_class)),
        allow_abbrev=False,
    )
    found, unknown = parser.parse_known_args(list(flags))
    if unknown:
        # Not the words beside a misspelt option, of which one may be a password.
        names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        parser.error(f"there is no option {', '.join(names)}" if names else "a word stands without an option before it")
    return namespace2settings(settings_class, found, merged_settings=merged)


def _own_options(settings_class: type[Any]) -> frozenset[str]:
    """Return the settings that a class adds to the settings of its section; none if it adds nothing."""
    *_, shared = filter(attrs.has, settings_class.__mro__)
    return frozenset(attrs.fields_dict(settings_class)) - frozenset(attrs.fields_dict(shared))


class _Toml:
    """Reads one section of a TOML file."""

    def __init__(self, section: str) -> None:
        self._section = section

    def __call__(self, path: Path, settings_cls: SettingsClass, options: OptionList) -> dict[str, Any]:
        del settings_cls, options
        try:
            text = files.read_text(path)
        except FileNotFoundError as error:
            raise ts.exceptions.ConfigFileNotFoundError(str(error)) from error
        try:
            section: dict[str, Any] = tomllib.loads(text).get(self._section, {})
        except (tomllib.TOMLDecodeError, RecursionError) as error:  # the latter of thousands of brackets
            raise ts.exceptions.ConfigFileLoadError(f"{path}: {error}") from error
        return section


class _SecretFileLoader:
    """Reads `MOODWIRE_NAME_FILE`: the setting is the content of that file, as container secrets are handed over."""

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:
        del settings_cls
        values: dict[str, Any] = {}
        for option in options:
            name = f"{PREFIX}{option.path.upper()}_FILE"
            if path := os.environ.get(name):
                set_path(values, option.path, _read_secret(name, path))
        return LoadedSettings(values, LoaderMeta(self))


def _read_secret(name: str, path: str) -> str:
    """Return the content of a file that a variable names.

    Raises:
        ValueError: it cannot be read, or is not UTF-8.
    """
    try:
        return files.read_text(Path(path)).strip()
    except OSError as error:
        # What is no path may be the secret itself.
        is_path = path.startswith("/") or ("/" in path and Path(path).parent.is_dir())
        file = f"file {path}" if is_path else "file"
        raise ValueError(
            f"cannot read the {file} that {name} names: {error.strerror}; set it to a file's path"
        ) from None


def _config_files(base: Path) -> list[Path]:
    named = os.environ.get(f"{PREFIX}CONFIG")
    if named and not Path(named).is_file():
        raise ValueError(f"{PREFIX}CONFIG names {named!r}, which is no file")
    return [Path(named) if named else base / "moodwire.toml"]


def _match(words: list[str]) -> str | None:
    for length in (3, 2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in COMMANDS:
            return name
    return None


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _sentence(error: BaseException) -> str:
    """Return the innermost reason of a settings error in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())


def _explain(words: list[str]) -> int:
    """Print the commands that begin like this, or the one that was meant; return 0 if help was asked for, else 2."""
    asked = list(takewhile(lambda word: not word.startswith("-"), words))
    nearest = _nearest(asked)
    if asked[: len(nearest)] != nearest:
        mistyped, meant = " ".join(asked[: len(nearest)]), " ".join(nearest)
        print(f"moodwire: there is no command {mistyped!r}; did you mean `moodwire {meant}`?", file=sys.stderr)
        return 2
    is_help = len(asked) == len(nearest) and (not words or words[len(asked) :] in (["-h"], ["--help"]))
    if len(asked) > len(nearest):
        print(f"moodwire: there is no command {' '.join(asked[: len(nearest) + 1])!r}", file=sys.stderr)
    print(_usage(nearest), file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def _nearest(asked: list[str]) -> list[str]:
    """Return the words of the command, or of the beginning of commands, that is most like what was asked for."""
    found: list[str] = []
    for word in asked:
        following = sorted({name.split()[len(found)] for name in _beginning_with(found)})
        close = difflib.get_close_matches(word, following, n=1)
        if not close:
            break
        found += close
    return found


def _beginning_with(words: list[str]) -> list[str]:
    """Return the commands that begin with these words and have more."""
    beginning = "".join(f"{word} " for word in words)
    return [name for name in COMMANDS if name.startswith(beginning)]


def _usage(words: list[str]) -> str:
    """Return the commands that begin with these words, by room."""
    names = _beginning_with(words)
    width = max(map(len, names))
    lines = [] if words else ["moodwire watches the emotion in speech without ever moving the audio.", ""]
    for room, group in groupby(names, key=lambda name: COMMANDS[name].function.partition(".")[0]):
        lines.append(f"{HEADINGS[room]}:")
        lines += [f"  moodwire {name:<{width}}  {COMMANDS[name].help}" for name in group]
        lines.append("")
    return "\n".join([*lines, "moodwire COMMAND --help lists the settings of a command."])


if __name__ == "__main__":
    sys.exit(main())
