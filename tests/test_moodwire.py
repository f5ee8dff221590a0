"""The command line: commands, their help, settings and what is said of those that cannot be used."""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import pytest
import typed_settings
from patience import CHILD_S

import moodwire
from device.settings import DeviceSettings


def read(flags: list[str]) -> DeviceSettings:
    """Return the device's settings with these flags."""
    settings: DeviceSettings = moodwire.read_settings("device run", "device", DeviceSettings, flags)
    return settings


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no file of the person who runs the tests interfere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_flags_beat_environment_beats_file_beats_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each later source wins over the earlier ones."""
    file = tmp_path / "config" / "moodwire.toml"
    file.parent.mkdir()
    file.write_text('[device]\nname = "file"\nmqtt_url = "mqtt://file"\ngate_dbfs = -40\n')
    monkeypatch.setenv("MOODWIRE_NAME", "environment")
    monkeypatch.setenv("MOODWIRE_MQTT_URL", "mqtt://environment")

    settings = read(["--name", "flag"])

    assert (settings.name, settings.mqtt_url, settings.gate_dbfs) == ("flag", "mqtt://environment", -40)
    assert settings.model == "ang-hap-neu"


def test_a_secret_comes_from_a_file_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MOODWIRE_…_FILE names a file whose content is the setting; printing settings hides it."""
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.setenv("MOODWIRE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))

    settings = read([])

    assert settings.mqtt_password == "hunter2"
    assert "hunter2" not in str(settings)


def test_files_that_an_editor_marked_as_utf_8_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The byte order mark that Windows' editors write is no part of a setting, least of all of a password."""
    settings, password = tmp_path / "moodwire.toml", tmp_path / "password"
    settings.write_bytes(b'\xef\xbb\xbf[device]\r\nname = "K\xc3\xbcche"\r\n')
    password.write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    monkeypatch.setenv("MOODWIRE_CONFIG", str(settings))
    monkeypatch.setenv("MOODWIRE_MQTT_PASSWORD_FILE", str(password))

    found = read([])

    assert (found.name, found.mqtt_password) == ("Küche", "hunter2")


@pytest.mark.parametrize("variable", ["MOODWIRE_CONFIG", "MOODWIRE_MQTT_PASSWORD_FILE"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, encoding: str
) -> None:
    """The sentence says which file it is, and what to do."""
    file = tmp_path / "file.toml"
    file.write_bytes('[device]\nname = "Küche"\n'.encode(encoding))
    monkeypatch.setenv(variable, str(file))

    with pytest.raises(ValueError, match=rf"^{file} is not in UTF-8 \(.*\); save it as UTF-8$"):
        read([])


def test_a_mistake_in_the_file_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of several files that could be meant, the sentence names the one."""
    file = tmp_path / "moodwire.toml"
    file.write_text("[device\n")
    monkeypatch.setenv("MOODWIRE_CONFIG", str(file))

    with pytest.raises(typed_settings.exceptions.ConfigFileLoadError, match=str(file)):
        read([])


def run_homeless(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user that has no name and no home, as containers do."""
    program = "import os, sys; os.getuid = lambda: 54_321; import moodwire; sys.exit(moodwire.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(moodwire.__file__).parent)} | environment,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )


def test_a_user_without_a_home_can_run_everything_that_needs_none(tmp_path: Path) -> None:
    """Help, the broker's files and a device with a folder for its state."""
    state = {"MOODWIRE_STATE_DIR": str(tmp_path / "state")}

    helped = run_homeless("bundle", "keygen", "--help")
    made = run_homeless("setup", "--folder", str(tmp_path / "config"))
    device = run_homeless("device", "run", "--clips", "/no/such/path", **state)

    assert helped.returncode == 0, helped.stderr
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "config" / "broker" / "mosquitto.conf").exists()
    assert "'/no/such/path' cannot be read" in device.stderr


@pytest.mark.parametrize("flags", [[], ["--state-dir", "~/moodwire"]])
def test_a_device_makes_no_folder_that_is_called_tilde(flags: list[str]) -> None:
    """Where nothing stands for ~, the sentence asks for an absolute path."""
    ended = run_homeless("device", "run", *flags)

    assert ended.returncode == 2
    assert "set state_dir to an absolute path" in ended.stderr


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "moodwire", *words],
        env={"PATH": "/usr/bin:/bin", "HOME": tempfile.gettempdir(), "PYTHONPATH": str(Path(moodwire.__file__).parent)}
        | environment,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["nonsense"], {}, "there is no command 'nonsense'"),
        (["nonsense"], {}, "moodwire device run"),
        (["server", "nonsense"], {}, "moodwire server ingest"),
        (["device"], {}, "moodwire device run"),
        (["device", "run", "--gate-dbfs", "loud"], {}, "loud"),
        (["device", "run", "--gate-dbfs", "5"], {}, "gate_dbfs is 5.0; use -100 to 0"),
        (["device", "run", "--channel", "left"], {}, "channel is 'left'; use mean, or a number from 1 to 64"),
        (["device", "run", "--nonsense"], {}, "--nonsense"),
        (["device", "run"], {"MOODWIRE_GATE_DBFS": "loud"}, "gate_dbfs"),
        (["device", "run"], {"MOODWIRE_CONFIG": "/no/such/path.toml"}, "/no/such/path.toml"),
        (["device", "run"], {"MOODWIRE_MQTT_PASSWORD_FILE": "/no/such/path"}, "/no/such/path"),
        (["device", "run", "--clips", "/no/such/path"], {}, "'/no/such/path' cannot be read ("),
        (["device", "run", "--clips", "samples", "--model", "nonsense"], {}, "no bundle 'nonsense'"),
        (["device", "run", "--clips", "samples", "--state-dir", __file__], {}, "check who owns state_dir"),
        (["device", "run", "--clips", "samples", "--identity", "me"], {}, "'me' is not a MAC address"),
        (["device", "run", "--clips", "samples", "--mqtt-url", "http://x"], {}, "mqtt_url 'http://x'"),
        (["server", "run", "--redis-url", "http://x"], {}, "http://x"),
        (["setup", "--device", "me"], {}, "'me' is not a MAC address"),
        (["demo", "--wav", "/no/such/path"], {}, "no file or folder '/no/such/path'"),
    ],
)
def test_what_is_not_usable_gets_one_sentence_and_exit_code_2(
    words: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    """A wrong command or setting ends with code 2, names the value, and shows no traceback."""
    places = {"MOODWIRE_STATE_DIR": str(tmp_path / "state"), "MOODWIRE_DATA_DIR": str(tmp_path / "data")}

    ended = run(*words, **places, **environment)

    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_misspelt_name_in_the_file_is_named(tmp_path: Path) -> None:
    """A name that is no setting is not silently ignored."""
    file = tmp_path / "moodwire.toml"
    file.write_text("[device]\ngate_dbsf = -40\n")

    ended = run("device", "run", MOODWIRE_CONFIG=str(file))

    assert ended.returncode == 2
    assert "gate_dbsf" in ended.stderr


def test_help_lists_every_command() -> None:
    """`moodwire` and `moodwire --help` tell what there is, and that is no error."""
    for words in ([], ["--help"]):
        ended = run(*words)
        assert ended.returncode == 0
        for name in moodwire.COMMANDS:
            assert f"moodwire {name} " in ended.stdout


@pytest.mark.parametrize("words", [["device"], ["server"], ["server", "token"], ["data"]])
def test_help_for_the_beginning_of_commands_lists_these_alone(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`moodwire server token --help` lists the commands that begin with these words, and no others."""
    assert moodwire.main([*words, "--help"]) == 0

    listed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    beginning = " ".join(words)
    wanted = [name for name in moodwire.COMMANDS if name.startswith(f"{beginning} ")]
    assert [line.partition("  ")[0] for line in listed] == [f"moodwire {name}" for name in wanted]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("devcie", "device"),
        ("devcie rnu --loop", "device run"),
        ("server ingset", "server ingest"),
        ("server tokn add --role viewer", "server token add"),
        ("trian tiny", "train"),
        ("dashbord --help", "dashboard"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_command(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names what was typed and what was probably meant, and the exit code is 2."""
    assert moodwire.main(typed.split()) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith(f"did you mean `moodwire {meant}`?\n")


@pytest.mark.parametrize("name", sorted(moodwire.COMMANDS))
def test_the_help_of_a_command_is_for_people(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No class, no stars and no empty default is shown, and each setting is."""
    settings_class: Any = moodwire._load(moodwire.COMMANDS[name].settings)

    with pytest.raises(SystemExit, match=r"^0$"):
        moodwire.main([*name.split(), "--help"])

    told = capsys.readouterr().out
    assert told.startswith(f"usage: moodwire {name} ")
    for noise in (settings_class.__name__, "***", "[default: ]", "True]", "False]"):
        assert noise not in told
    for field in attrs.fields(settings_class):
        assert field.name.replace("_", "-") in told or field.name.upper() in told


@pytest.mark.parametrize("name", sorted(moodwire.COMMANDS))
def test_every_command_exists_and_each_setting_has_help(name: str) -> None:
    """The function and the settings of a command exist, and each setting is frozen and has help."""
    command = moodwire.COMMANDS[name]
    settings_class: Any = moodwire._load(command.settings)

    assert callable(moodwire._load(command.function))
    assert attrs.has(settings_class)
    for field in attrs.fields(settings_class):
        assert field.metadata["typed-settings"]["help"], field.name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(settings_class(), attrs.fields(settings_class)[0].name, "other")


def test_starting_a_device_loads_no_heavy_package() -> None:
    """TensorFlow, librosa, SciPy and numba stay out of the device process."""
    program = (
        "import sys, device.cli, device.audio.microphone; heavy = {'tensorflow', 'librosa', 'scipy', 'numba', 'flask', "
        "'matplotlib', 'redis'} & sys.modules.keys(); sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    root = Path(importlib.import_module("moodwire").__file__ or "").parent

    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr


def test_a_package_that_is_missed_late_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A heavy package that a command imports late and does not find is named with what installs it."""

    def without_it(_settings: object) -> int:
        raise ModuleNotFoundError("No module named 'librosa'", name="librosa")

    monkeypatch.setattr("training.commands.train", without_it)

    assert moodwire.main(["train", "tiny"]) == 2
    assert capsys.readouterr().err == (
        "moodwire train needs a package that is not installed: No module named 'librosa'; run pip install "
        "'moodwire[training]'\n"
    )
