"""No secret of the settings is in anything that a command prints, logs or answers, however wrong the setting is."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import attrs
import pytest
from brokers import free_port
from patience import CHILD_S
from services import running_store
from webhooks import Webhook

import moodwire
from dashboard.upstream import AwayError, Service
from device.control import model_update
from models.bundle import BundleError
from server.alerts.notifiers import Webhooks
from server.alerts.rules import load
from server.errors import UnusableError

ROOT = Path(__file__).parent.parent
MARK = "s3cr3t"
"""Stands in every secret, so that a part of one is found too."""
SHAPES = {
    "well formed": "{scheme}://user:s3cr3t-a@127.0.0.1:1/0",
    "no scheme": "user:s3cr3t-a@127.0.0.1:1",
    "no scheme and no host": "user:s3cr3t-a",
    "one slash": "{scheme}:/user:s3cr3t-a@127.0.0.1:1",
    "another scheme": "gopher://user:s3cr3t-a@127.0.0.1:1",
    "bad port": "{scheme}://user:s3cr3t-a@127.0.0.1:99999",
    "port of letters": "{scheme}://user:s3cr3t-a@127.0.0.1:port",
    "no host": "{scheme}://user:s3cr3t-a",
    "no user": "{scheme}://:s3cr3t-a@127.0.0.1:1",
    "space": "{scheme}://user:s3cr3t-a s3cr3t-b@127.0.0.1:1",
    "newline at the end": "{scheme}://user:s3cr3t-a@127.0.0.1:1\n",
    "newline inside": "{scheme}://user:s3cr3t-a\ns3cr3t-b@127.0.0.1:1",
    "percent": "{scheme}://user:s3cr3t%40s3cr3t%3A%2F@127.0.0.1:1",
    "broken percent": "{scheme}://user:s3cr3t%zz@127.0.0.1:1",
    "slash in it": "{scheme}://user:s3cr3t-a/s3cr3t-b@127.0.0.1:1",
    "slash after digits": "{scheme}://user:12/s3cr3t-b@127.0.0.1:1",
    "hash in it": "{scheme}://user:s3cr3t-a#s3cr3t-b@127.0.0.1:1",
    "question mark in it": "{scheme}://user:s3cr3t-a?s3cr3t-b@127.0.0.1:1",
    "at sign in it": "{scheme}://user:s3cr3t-a@s3cr3t-b@127.0.0.1:1",
    "colons in it": "{scheme}://user:s3cr3t-a:s3cr3t-b@127.0.0.1:1",
    "letters that look like others": "{scheme}://user:s3cr3t-a\u2100@127.0.0.1:1",
    "IPv6": "{scheme}://user:s3cr3t-a@[::1]:1",
    "IPv6 without its end": "{scheme}://user:s3cr3t-a@[::1",
    "a bracket in it": "{scheme}://user:s3cr3t-a[s3cr3t-b@127.0.0.1:1",
    "query": "{scheme}://127.0.0.1:1/0?password=s3cr3t-a&token=s3cr3t-b",
    "query of another type": "{scheme}://127.0.0.1:1/0?db=s3cr3t-a&socket_timeout=s3cr3t-b",
    "query with an at sign": "{scheme}://user:s3cr3t-a@127.0.0.1:1/?mail=a@s3cr3t-b",
    "query without a name": "{scheme}://127.0.0.1:1/0?s3cr3t-a",
    "unknown option": "{scheme}://127.0.0.1:1/0?s3cr3t_a=1",
    "fragment": "{scheme}://127.0.0.1:1/0#s3cr3t-a",
}
"""Values of a setting that takes a URL."""
SCHEMES = {
    "mqtt_url": ("mqtt", "mqtts"),
    "redis_url": ("redis", "rediss", "cluster+redis", "unix"),
    "api_url": ("http",),
    "live_url": ("http",),
    "dashboard_url": ("http",),
    "source": ("http",),
}
"""Settings that take a URL, with their schemes."""
SECRETS = {"mqtt_password", "mqtt_share", "viewer_token", "operator_token", "api_token", "dashboard_key"}
"""Settings that are a secret themselves."""
VALUES = {
    "plain": "s3cr3t-a",
    "newline at the end": "s3cr3t-a\n",
    "newline inside": "s3cr3t-a\ns3cr3t-b",
    "spaces": " s3cr3t-a s3cr3t-b ",
    "percent": "s3cr3t%s%(x)s{y}",
    "letters beyond ASCII": "s3cr3t-\u00e9\u20ac",
}
"""Values of a secret."""
IN_A_FILE = {
    "unquoted": "s3cr3t-a",
    "with an open quote": '"s3cr3t-a',
    "as a list": '["s3cr3t-a"]',
    "as a table": '{{a = "s3cr3t-a"}}',
    "twice": '"x"\n{setting} = "s3cr3t-a"',
}
"""What may stand behind a secret's name in the file of settings."""
SLOW = {
    "server run": 2.0,
    "server ingest": 2.0,
    "server live": 2.0,
    "server alerts": 2.0,
    "dashboard": 3.0,
    "device run": 4.0,
}
"""Commands that run until they are told to stop, and after how many seconds they are told to."""
THOROUGH = {"device run", "server ingest", "server doctor", "dashboard", "data fetch"}
"""Commands that get every shape of every setting; the others, which read them by the same way, get a few."""
FEW = {"well formed", "no scheme", "slash in it", "query", "unknown option", "newline at the end", "plain", "percent"}
LATE = {
    "server run": "server.rest.serve",
    "server ingest": "server.ingest.worker",
    "server live": "server.live.serve",
}
"""What a command imports late."""
DRIVER = """
import importlib, json, os, signal, sys, time, traceback
import moodwire
name, late, cases = json.loads(sys.stdin.read())
command = moodwire.COMMANDS[name]
for where in (command.settings, command.function):
    moodwire._load(where)
if late:
    importlib.import_module(late)
running = {}
def end(least):
    until = time.monotonic() + 60
    while len(running) > least and time.monotonic() < until:
        pid, status = os.waitpid(-1, os.WNOHANG)
        running.pop(pid, None)
        for other, kill_at in running.items():
            if time.monotonic() > kill_at:
                os.kill(other, signal.SIGKILL)
        time.sleep(0.02)
for environment, flags, log, seconds in cases:
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        file = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1), os.dup2(file, 2)
        os.environ.update(environment)
        code = 1
        try:
            code = moodwire.main([*name.split(), *flags])
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code or 0)
    running[pid] = time.monotonic() + seconds
    end(15)
end(0)
"""
"""Runs a command many times, each in a process of its own: the program is loaded once and then forked."""
COMMANDS = sorted(moodwire.COMMANDS.keys() - {"demo", "chaos"})


def settings_of(name: str) -> set[str]:
    """Return the names of a command's settings."""
    return set(attrs.fields_dict(moodwire._load(moodwire.COMMANDS[name].settings)))


def fault_free(folder: Path) -> dict[str, str]:
    """Return settings with which each command gets as far as it can without services."""
    settings = {
        "clips": str(ROOT / "samples" / "5-door.flac"),
        "identity": "020000000001",
        "state_dir": str(folder / "state"),
        "clock_wait_s": "0",
        "folder": str(folder / "config"),
        "root": str(folder / "root"),
        "recordings_dir": str(folder / "recordings"),
        "runs_dir": str(folder / "runs"),
        "results_dir": str(folder / "results"),
        "key_file": str(folder / "bundle.key"),
        "bundle": str(folder / "no-bundle"),
        "recipe": str(folder / "no-recipe.toml"),
        "file": str(folder / "backup.gz"),
        "token_name": "grafana",
        "mqtt_url": "mqtt://127.0.0.1:1",
        "redis_url": "redis://127.0.0.1:1/0",
        "source": "http://127.0.0.1:1",
        "api_url": "http://127.0.0.1:1",
        "live_url": "http://127.0.0.1:1",
    }
    return {f"MOODWIRE_{name.upper()}": value for name, value in settings.items()}


Case = tuple[str, dict[str, str], list[str]]
"""A title, an environment and flags: one way to give a secret to a command."""


def urls_of(name: str) -> Iterator[Case]:
    """Yield URLs with secrets in them."""
    for setting in sorted(settings_of(name) & SCHEMES.keys()):
        first, *_ = SCHEMES[setting]
        for scheme in SCHEMES[setting] if name in THOROUGH else [first]:
            for title, shape in SHAPES.items():
                if title in FEW or (name in THOROUGH and scheme == first):
                    value = shape.format(scheme=scheme)
                    yield f"{setting} {scheme} {title}", {f"MOODWIRE_{setting.upper()}": value}, []


def secrets_of(name: str, folder: Path) -> Iterator[Case]:
    """Yield secrets that stand where they should, and where they should not."""
    for setting in sorted(settings_of(name) & SECRETS):
        variable, option = f"MOODWIRE_{setting.upper()}", f"--{setting.replace('_', '-')}"
        for title, value in VALUES.items():
            if title in FEW or name in THOROUGH:
                yield f"{setting} {title}", {variable: value}, []
        file = folder / f"{setting}.secret"
        file.write_bytes(b"s3cr3t-a\xff\xfes3cr3t-b\n")
        yield f"{setting} in a file that is no text", {f"{variable}_FILE": str(file)}, []
        yield f"{setting} itself as the name of its file", {f"{variable}_FILE": "s3cr3t-a"}, []
        yield f"{setting} itself, and long", {f"{variable}_FILE": "s3cr3t-" * 60}, []
        yield f"{setting} as misspelt option", {}, [f"{option}s", "s3cr3t-a"]
        yield f"{setting} as misspelt option with =", {}, [f"{option}s=s3cr3t-a"]
        yield f"{setting} as two words", {}, [option, "s3cr3t-a", "s3cr3t-b"]
        for title, text in IN_A_FILE.items() if name in THOROUGH else ():
            file = folder / f"{setting} {title}.toml"
            file.write_text(f"[{moodwire.COMMANDS[name].section}]\n{setting} = {text.format(setting=setting)}\n")
            yield f"{setting} {title} in the file of settings", {"MOODWIRE_CONFIG": str(file)}, []


def cases_of(name: str, folder: Path) -> Iterator[Case]:
    """Yield each way to give a secret to a command."""
    yield from urls_of(name)
    yield from secrets_of(name, folder)
    yield "the private key as model_key", {"MOODWIRE_MODEL_KEY": "s3cr3t-" * 9}, []
    every = {f"MOODWIRE_{setting.upper()}": "s3cr3t-a" for setting in SECRETS}
    every |= {f"MOODWIRE_{setting.upper()}": SHAPES["percent"].format(scheme="x") for setting in SCHEMES}
    yield "help", every, ["--help"]
    if "json" in settings_of(name):
        for setting in sorted(settings_of(name) & SCHEMES.keys()):
            value = SHAPES["well formed"].format(scheme=SCHEMES[setting][0])
            yield f"{setting} in a report as JSON", {f"MOODWIRE_{setting.upper()}": value}, ["--json"]


def test_no_setting_with_a_secret_is_left_out() -> None:
    """A setting that takes a URL or is a secret is among those that the tests here try."""
    for command in moodwire.COMMANDS.values():
        for field in attrs.fields(moodwire._load(command.settings)):
            if field.name.endswith("_url"):
                assert field.name in SCHEMES
            if field.repr not in (True, False):  # as `typed_settings.secret` has it
                assert field.name in SECRETS


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_tells_a_secret_of_its_settings(name: str, tmp_path: Path) -> None:
    """Whatever is wrong with a URL or a secret, neither output nor log of any command has a part of it."""
    (tmp_path / "alerts.toml").write_text(
        '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.6\nbelow = 0.4\ntopic = "alerts"\n'
    )
    common = {variable: value for variable, value in os.environ.items() if not variable.startswith("MOODWIRE_")}
    common |= {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "1000", "PYTHONUNBUFFERED": "1"}
    common |= fault_free(tmp_path) | {"MOODWIRE_RULES": str(tmp_path / "alerts.toml")}
    jobs = []
    for title, environment, flags in cases_of(name, tmp_path):
        ports = {f"MOODWIRE_{port}_PORT": str(free_port()) for port in ("API", "LIVE", "DASHBOARD")}
        log = tmp_path / f"{title.replace('/', ' ')}.log"
        jobs.append((ports | environment, flags, str(log), 30.0 if title == "help" else SLOW.get(name, 10.0)))

    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([name, LATE.get(name, ""), jobs]),
        env=common,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = {Path(log).stem: Path(log).read_text(errors="replace") for *_, log, _ in jobs}
    leaks = {title: lines for title, text in told.items() if (lines := _leaks(text))}
    assert leaks == {}
    assert [title for title, text in told.items() if "Traceback" in text] == []
    assert "usage: moodwire" in told["help"]


@pytest.mark.parametrize("words", [["server", "doctor", "--json"], ["server", "doctor"], ["server", "token", "list"]])
def test_a_password_that_the_store_refuses_is_not_told(words: list[str], tmp_path: Path) -> None:
    """A store that wants another password is named without the one that it got."""
    port = free_port()
    with running_store(tmp_path, extra=["--port", str(port)]) as store:
        store.client.acl_setuser("someone", enabled=True, passwords=["+s3cr3t-right"], commands=["+@all"], keys=["*"])
        for login in ("someone:s3cr3t-wrong", "s3cr3t-user:s3cr3t-wrong"):
            done = subprocess.run(
                [sys.executable, "-m", "moodwire", *words],
                env=os.environ | fault_free(tmp_path) | {"MOODWIRE_REDIS_URL": f"redis://{login}@127.0.0.1:{port}/0"},
                capture_output=True,
                text=True,
                timeout=CHILD_S,
                check=False,
            )
            assert f"127.0.0.1:{port}" in done.stdout + done.stderr
            assert "username-password" in done.stdout + done.stderr
            assert _leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_secret_of_a_webhook_is_logged(
    shape: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule with such a webhook is refused, or its delivery fails, without a part of the secret."""
    url = shape.format(scheme="http").replace(":1/0", ":1/hooks/s3cr3t-path")
    file = tmp_path / "alerts.toml"
    lines = ("[[rule]]", 'name = "a"', 'label = "ANG"', "above = 0.6", "below = 0.4", f"webhook = {json.dumps(url)}")
    file.write_text("\n".join(lines))

    try:
        load(file)
        refused = ""
    except UnusableError as error:
        refused = "".join(traceback.format_exception(error))
    if not refused:
        webhooks = Webhooks()
        webhooks.post(url, b"{}")
        with caplog.at_level(logging.DEBUG):
            webhooks.deliver()
        assert "does not accept an alert" in caplog.text

    assert _leaks(refused + caplog.text + "".join(capsys.readouterr())) == []


@pytest.mark.parametrize("location", ["", "/s3cr3t-a", "ftp://user:s3cr3t-a@127.0.0.1:1/", "http://[s3cr3t-a"])
@pytest.mark.parametrize("code", [302, 401, 500])
def test_the_answer_of_a_webhook_tells_nothing_of_its_path(
    code: int, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that refuses the alert or leads elsewhere is logged with the host and the status alone."""
    site = Webhook()
    site.answers, site.location = [code], location
    try:
        webhooks = Webhooks()
        webhooks.post(f"{site.url}/s3cr3t-a?token=s3cr3t-b", b"{}")
        with caplog.at_level(logging.DEBUG):
            webhooks.deliver()
    finally:
        site.close()

    assert f"it answers {code}" in caplog.text
    assert _leaks(caplog.text) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_secret_of_a_models_source_is_answered(shape: str) -> None:
    """What a device says of a bundle that it cannot fetch, which viewers may read, has no part of the secret."""
    with pytest.raises(BundleError) as caught:
        model_update.fetch(shape.format(scheme="http"))

    assert _leaks(str(caught.value)) == []
    assert _leaks("".join(traceback.format_exception(caught.value))) == []


@pytest.mark.parametrize(
    "location", ["ftp://u:s3cr3t-a@127.0.0.1:1/", "http://u:s3cr3t-a@127.0.0.1:1/", "http://[s3cr3t"]
)
def test_no_secret_of_where_a_models_source_leads_is_answered(location: str) -> None:
    """A redirect to signed URLs is told without them."""
    site = Webhook()
    site.answers, site.location = [302], location
    try:
        url = f"{site.url}?token=s3cr3t-b"
        with pytest.raises(BundleError) as caught:
            model_update.fetch(url)
    finally:
        site.close()

    assert _leaks("".join(traceback.format_exception(caught.value))) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_page_shows_no_secret_of_the_apis_address(shape: str) -> None:
    """What the page says of a REST API that does not answer, or cannot be asked, has no part of the secret."""

    async def ask() -> None:
        async with Service("REST", shape.format(scheme="http")).ask("GET", "/", token="s3cr3t-token", timeout_s=5):
            pass

    with pytest.raises((AwayError, ValueError)) as caught:
        asyncio.run(ask())

    assert _leaks(str(caught.value)) == []


def _leaks(text: str) -> list[str]:
    """Return the lines that have a part of a secret."""
    return [line for line in text.splitlines() if MARK in unquote(line).lower()]
