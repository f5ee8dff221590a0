"""The front door: finds the command, reads its settings, and loads the one room that carries it out.

Settings come from, later over earlier: defaults, a TOML file (one section per room), the environment (`MOODWIRE_NAME`,
or `MOODWIRE_NAME_FILE` for the content of a file, which suits secrets), and flags.
"""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import typed_settings as ts
from typed_settings.cli_argparse import make_parser, namespace2settings
from typed_settings.dict_utils import set_path
from typed_settings.loaders import Loader
from typed_settings.types import LoadedSettings, LoaderMeta, OptionList, SettingsClass

PREFIX = "MOODWIRE_"


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
        "time and memory of the device on this machine",
    ),
    "device doctor": Command(
        "device",
        "device.ops.doctor:DoctorSettings",
        "device.ops.doctor:doctor",
        "look at everything that a device needs, and say what to do",
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
        "make a systemd service of the device",
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
        "server", "server.ops.token_cli:TokenSettings", "server.ops.token_cli:revoke", "accept a token no more"
    ),
    "server backup": Command(
        "server",
        "server.ops.backup:BackupSettings",
        "server.ops.backup:write",
        "write all data into a file, while all runs",
    ),
    "server restore": Command(
        "server",
        "server.ops.backup:BackupSettings",
        "server.ops.backup:read",
        "bring a backup's data back; may be repeated",
    ),
    "server alerts": Command(
        "server",
        "server.alerts.worker:AlertsSettings",
        "server.alerts.worker:alerts",
        "tell a webhook or topic when rules apply",
    ),
    "server doctor": Command(
        "server",
        "server.ops.doctor:DoctorSettings",
        "server.ops.doctor:doctor",
        "look at everything that the server needs, and say what to do",
    ),
    "server migrate": Command(
        "server",
        "server.settings:ServerSettings",
        "server.ops.migrate:migrate",
        "bring the store to this version's layout",
    ),
    "server live": Command(
        "server", "server.settings:ServerSettings", "server.cli:live", "serve live events of what devices hear"
    ),
    "dashboard": Command(
        "dashboard", "dashboard.settings:DashboardSettings", "dashboard.commands:run", "serve the live page"
    ),
    "bundle keygen": Command(
        "bundle", "models.commands:BundleSettings", "models.commands:keygen", "make the key that signs models"
    ),
    "bundle pack": Command(
        "bundle", "models.commands:BundleSettings", "models.commands:pack", "sign a model and pack it for devices"
    ),
    "train": Command(
        "train", "training.settings:TrainSettings", "training.commands:train", "make a model and measure it honestly"
    ),
    "evaluate": Command(
        "train", "training.settings:EvaluateSettings", "training.commands:evaluate", "measure a model once more"
    ),
    "report": Command(
        "train", "training.settings:ReportSettings", "training.report:report", "write the table of what was trained"
    ),
    "data fetch": Command(
        "train", "training.settings:FetchSettings", "training.fetch:fetch", "download the recordings that train a model"
    ),
    "data figures": Command(
        "train", "training.settings:FiguresSettings", "training.figures:figures", "draw what the recordings hold"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 when the command or a setting is not usable."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(f"moodwire {version('moodwire')}")
        return 0
    name = _match(words)
    if name is None:
        asked = words in ([], ["-h"], ["--help"])
        print(_usage(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    command = COMMANDS[name]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("typed_settings").setLevel(logging.CRITICAL)  # what it finds wrong, it also raises
    try:
        settings_class = _load(command.settings)
        function = _load(command.function)
    except ImportError as error:
        print(f"moodwire {name} needs a package that is not installed: {error}", file=sys.stderr)
        return 2
    try:
        settings = read_settings(name, command.section, settings_class, words[len(name.split()) :])
    except (ValueError, TypeError, OSError, ts.exceptions.TsError) as error:
        print(f"moodwire {name}: {_sentence(error)}", file=sys.stderr)
        return 2
    try:
        return int(function(settings))
    except KeyboardInterrupt:
        return 130


def read_settings(name: str, section: str, settings_class: type[Any], flags: Sequence[str]) -> Any:
    """Return the settings of a command from file, environment and flags.

    Raises:
        ValueError, TypeError, OSError, typed_settings.exceptions.TsError: a value, a file or a name in it is not right.
        SystemExit: a flag is not right; argparse has said why.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    loaders: list[Loader] = [
        ts.FileLoader({"*.toml": ts.TomlFormat(section)}, files=_config_files(Path(base))),
        ts.EnvLoader(PREFIX),
        _SecretFileLoader(),
    ]
    parser, merged = make_parser(
        settings_class,
        loaders,
        prog=f"moodwire {name}",
        epilog=f"Each option is also a name in [{section}] of the TOML file that {PREFIX}CONFIG names "
        f"(default: ~/.config/moodwire.toml), and an environment variable, as {PREFIX}… in capitals.",
        allow_abbrev=False,
    )
    return namespace2settings(settings_class, parser.parse_args(list(flags)), merged_settings=merged)


class _SecretFileLoader:
    """Reads `MOODWIRE_NAME_FILE`: the setting is the content of that file, as container secrets are handed over."""

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:
        del settings_cls
        values: dict[str, Any] = {}
        for option in options:
            path = os.environ.get(f"{PREFIX}{option.path.upper()}_FILE")
            if path:
                set_path(values, option.path, Path(path).read_text().strip())
        return LoadedSettings(values, LoaderMeta(self))


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
    if isinstance(error, FileNotFoundError):
        return f"no such file: {error.filename}"
    return " ".join(str(error).split())


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  moodwire {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "moodwire watches the emotion in speech without ever moving the audio.",
            "",
            *lines,
            "",
            "moodwire COMMAND --help tells its options.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
