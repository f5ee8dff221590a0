"""The services of docker-compose.yml: complete, secured, and set with names that exist."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from services import RunningStore

from moodwire import COMMANDS, PREFIX
from server.store import keys
from wiring.setup import SetupSettings, setup

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VARIABLE = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")
RAW: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(VARIABLE.sub(r"\1", TEXT))["services"]
"""With the default of each variable."""
OURS = ["setup", "ingest", "api", "live", "dashboard", "alerts", "device"]
VOLUMES = set(yaml.safe_load(TEXT)["volumes"])
SECRETS = "/config/secrets"

every_service = pytest.mark.parametrize("name", SERVICES)
every_room = pytest.mark.parametrize("name", OURS)


def mounts(name: str) -> dict[str, tuple[str, bool]]:
    """Return where a service mounts which volume, and whether it may write there."""
    parts = [volume.split(":") for volume in SERVICES[name]["volumes"]]
    return {path: (volume, mode != ["ro"]) for volume, path, *mode in parts}


def test_services_are_those_of_the_design() -> None:
    """Mosquitto, Redis, ingest, server, live events and dashboard run always, others in their profiles only."""
    assert set(SERVICES) == {"mosquitto", "redis", *OURS}
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "alerts": ["alerts"],
        "device": ["demo"],
    }


@every_service
def test_images_come_from_variables(name: str) -> None:
    """Every image can be replaced where no registry is reached, and so can the base of the one that is built."""
    assert VARIABLE.fullmatch(RAW[name]["image"])
    assert VARIABLE.fullmatch(RAW["setup"]["build"]["args"]["BASE"])


@every_service
def test_service_is_confined(name: str) -> None:
    """Nobody is root, has a capability, may gain one, or writes outside volumes and /tmp."""
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert service.get("network_mode", "none") == "none"


@every_service
def test_service_starts_again(name: str) -> None:
    """Every service but the one that runs once is started again after a failure."""
    assert SERVICES[name]["restart"] == ("no" if name == "setup" else "unless-stopped")


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in {"setup", "alerts", "device"}])
def test_service_has_a_health_check(name: str) -> None:
    """Every service that others depend on is checked."""
    assert SERVICES[name]["healthcheck"]["test"]


def test_what_others_wait_for_can_come_true() -> None:
    """A service waits only for the exit of what exits and for the health of what is checked."""
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            condition = "service_completed_successfully" if other == "setup" else "service_healthy"
            assert wait == {"condition": condition}
            assert other == "setup" or "healthcheck" in SERVICES[other]


def test_ports_are_published_on_loopback() -> None:
    """Only Mosquitto, REST, live events and dashboard are published, by default for this machine alone."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "mosquitto": ["127.0.0.1:1883:1883"],
        "api": ["127.0.0.1:8080:8080"],
        "live": ["127.0.0.1:8082:8082"],
        "dashboard": ["127.0.0.1:8050:8050"],
    }


def test_redis_is_reached_through_its_socket_only() -> None:
    """Redis has no network, and its socket is mounted by those who need it."""
    assert SERVICES["redis"]["network_mode"] == "none"
    assert {name for name in SERVICES if "/socket" in mounts(name)} == {
        *("setup", "redis", "ingest", "api", "live", "alerts")
    }


def test_redis_has_every_write_on_disk() -> None:
    """Redis appends to a file in a volume and syncs it before it answers."""
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--save"] == ""
    assert mounts("redis")[options["--dir"]] == ("store", True)


@every_room
def test_environment_names_are_settings(name: str) -> None:
    """Each MOODWIRE_ name, or its form for a file, is a setting of the command that the service runs."""
    module, _, settings = COMMANDS[" ".join(SERVICES[name]["command"])].settings.partition(":")
    known = {field.name for field in attrs.fields(getattr(importlib.import_module(module), settings))}
    for key in SERVICES[name]["environment"]:
        assert key.startswith(PREFIX)
        setting = key.removeprefix(PREFIX).lower()
        assert setting in known or setting.removesuffix("_file") in known, key


@every_room
def test_no_environment_holds_a_secret(name: str) -> None:
    """Passwords, tokens and keys are named by file, and only setup may write these files."""
    assert mounts(name)[SECRETS] == ("secrets", name == "setup")
    for key, value in SERVICES[name]["environment"].items():
        if re.search("PASSWORD|TOKEN|KEY|SECRET", key):
            assert key.endswith("_FILE")
            assert value.startswith(f"{SECRETS}/")


def test_mosquitto_is_given_no_secret() -> None:
    """Mosquitto sees its own folder only."""
    assert set(mounts("mosquitto")) == {"/config/broker"}


def test_setup_makes_the_files_that_others_name(tmp_path: Path) -> None:
    """Each file of a secret, and the configuration that Mosquitto starts with, is there after setup."""
    assert setup(SetupSettings(folder=tmp_path, device=SERVICES["setup"]["environment"]["MOODWIRE_DEVICE"])) == 0
    named = [
        value for name in OURS for key, value in SERVICES[name]["environment"].items() if key.endswith("_FILE")
    ] + [SERVICES["mosquitto"]["command"][-1]]
    assert len(named) == 10
    for path in named:
        assert (tmp_path / Path(path).relative_to("/config")).is_file(), path


def test_alerts_read_the_rules_of_whoever_starts_them() -> None:
    """The rules are a file of the host that the service cannot write, and are where its setting says."""
    rules = SERVICES["alerts"]["environment"]["MOODWIRE_RULES"]
    assert mounts("alerts")[rules] == ("./alerts.toml", False)
    assert "front" in SERVICES["alerts"]["networks"], "a webhook is outside"


def test_simulated_device_has_an_address_of_its_own() -> None:
    """The simulated device has a locally administered address, which no hardware has, and setup knows it."""
    device = SERVICES["device"]["environment"]["MOODWIRE_IDENTITY"]
    assert re.fullmatch("[0-9a-f]{12}", device)
    assert int(device[:2], 16) & 0b11 == 0b10
    assert SERVICES["setup"]["environment"]["MOODWIRE_DEVICE"] == device
    assert SERVICES["device"]["environment"]["MOODWIRE_MQTT_PASSWORD_FILE"].endswith(device)


def test_volumes_get_their_owner_from_the_image() -> None:
    """The image has a folder of the services' user wherever a volume is mounted."""
    made = re.search(r"install -d -m 0700 -o moodwire -g moodwire (.*)", DOCKERFILE)
    assert made
    assert set(made[1].split()) == {
        path for name in OURS for path, (volume, _) in mounts(name).items() if volume in VOLUMES
    }
    assert set(mounts("mosquitto") | mounts("redis")) <= set(mounts("setup"))
    assert "useradd --uid 10001 " in DOCKERFILE
    assert "USER 10001:10001" in DOCKERFILE


def test_image_is_built_from_a_lock() -> None:
    """The Dockerfile installs with hashes from a lock that exists and that reaches the build."""
    lock = re.search(r"--require-hashes -r (\S+)", DOCKERFILE)
    assert lock
    assert (ROOT / lock[1]).is_file()
    assert f"!{lock[1]}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_build_gets_every_room_it_runs() -> None:
    """What the build leaves out is no room of a service, and what the Dockerfile copies is let in."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    rooms = {"broker", "common", "dashboard", "device", "models", "server", "wiring"}
    assert rooms | {"moodwire.py", "pyproject.toml", "samples"} <= let_in


def test_health_check_of_ingest_tells_the_heartbeat(redis_store: RunningStore) -> None:
    """The check of ingest fails without a heartbeat in the store and passes with one."""
    _, _, *arguments = SERVICES["ingest"]["healthcheck"]["test"]
    environment = os.environ | {"MOODWIRE_REDIS_URL": redis_store.url}

    def check() -> int:
        words = [sys.executable, *arguments]
        return subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, check=False).returncode

    assert check() == 1
    redis_store.client.set(keys.HEARTBEAT, "1")
    assert check() == 0


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the folder of docker-compose.yml and return what it said."""
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_compose_accepts_the_file() -> None:
    """Compose itself finds nothing wrong with the file."""
    for compose in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(compose[0]) and run(*compose, "version").returncode == 0:
            said = run(*compose, "--profile", "demo", "--profile", "alerts", "config", "-q")
            assert said.returncode == 0, said.stderr
            return
    pytest.skip("Docker Compose is not installed, so that it has not checked docker-compose.yml")
