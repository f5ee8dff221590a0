"""Settings of a device; `moodwire.py` fills them from defaults, TOML file, environment and flags."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import typed_settings as ts

from broker.messages import MAX_GATE_DBFS, MIN_GATE_DBFS
from common import channels, text, urls


def _state_dir() -> Path:
    """Return the folder of state that outlasts a run (XDG Base Directory Specification).

    It begins with ~ for a user without a home.
    """
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - may be no home
    return Path(base) / "moodwire"


def _is_http_url(url: str) -> bool:
    """Return whether Home Assistant takes a URL as a link; it refuses the whole device for one that it does not."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", url)


def _check_state_dir(folder: Path) -> None:
    """Raise ValueError for a folder below ~, in whose place nothing puts a home: not in files, not without a home."""
    if "~" in folder.parts:
        raise ValueError(f"state_dir {str(folder)!r} has a ~ in it; set state_dir to an absolute path")


_RANGES = {
    "gate_dbfs": (MIN_GATE_DBFS, MAX_GATE_DBFS),
    "baseline_half_life_min": (5, 100_000),
    "baseline_neutral": (0, 0.99),
    "clock_wait_s": (0, 600),
    "outbox_max_rows": (1, 100_000_000),
    "outbox_max_mb": (1, 1_000_000),
    "outbox_max_age_days": (0.01, 3_650),
}
_CHOICES = {
    "mqtt_version": ("3.1.1", "5"),
    "confirm": ("server", "broker"),
    "runtime": ("litert", "onnx", "openvino"),
}


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@ts.settings(frozen=True)
class DeviceSettings:
    """Settings of `moodwire device`."""

    name: str = ts.option(
        default=socket.gethostname()[: text.MAX_NAME],
        converter=text.tidy,
        help="name shown to people, 1 to 64 characters that can be seen",
    )
    mic: str = ts.option(
        default="",
        help="microphone: stable id, index, or part of the name, as `moodwire device mics` lists them; "
        "empty: the default one",
    )
    channel: str = ts.option(
        default=channels.MEAN,
        help="which channel of a microphone or file to hear: `mean` for the mean of all, or its number, from 1",
    )
    clips: str = ts.option(default="", help="play this audio file or folder in real time instead of listening")
    loop: bool = ts.option(default=False, help="restart the clips after the last one")
    model: str = ts.option(default="ang-hap-neu", help="name of a shipped bundle, or the folder of one")
    runtime: str = ts.option(
        default="litert",
        help="what runs the model: `litert`; or, where it is installed, `onnx` or `openvino`, which run the file that "
        "`moodwire bundle export` wrote into the model's folder",
    )
    gate_dbfs: float | None = ts.option(
        default=None,
        help="level that opens the speech gate, dB relative to full scale, -100 to 0; unset: it follows the noise",
    )
    baseline: bool = ts.option(
        default=True, help="learn from what is heard what is usual where the device stands, and judge by it"
    )
    baseline_half_life_min: float = ts.option(
        default=30.0, help="minutes of heard speech after which a window counts half in the baseline, 5 to 100,000"
    )
    baseline_neutral: float = ts.option(
        default=0.0,
        help="assumed share of neutral in what the device hears, up to 0.99; 0: as the model says, 0.7 for ours",
    )
    mqtt_url: str = ts.option(default="mqtt://127.0.0.1:1883", help="URL of the broker; mqtts:// for TLS")
    mqtt_username: str = ts.option(default="", help="account at the broker; empty: the device id")
    mqtt_password: str = ts.secret(default="", help="password of that account")
    mqtt_ca_file: str = ts.option(default="", help="file of CA certificates for TLS; empty: the system's")
    identity: str = ts.option(
        default="hardware",
        help="device id: `hardware` for the MAC address of a network adapter, chosen once and kept, `random` for one "
        "made once and kept, or a MAC address",
    )
    state_dir: Path = ts.option(
        default=_state_dir(),
        help="folder of what outlasts a run: outbox, device id, sent models, and what commands changed",
    )
    mqtt_cert_file: str = ts.option(default="", help="file of this device's certificate, for mutual TLS")
    mqtt_key_file: str = ts.option(default="", help="file of that certificate's private key")
    mqtt_version: str = ts.option(default="3.1.1", help="MQTT version: 3.1.1 or 5")
    confirm: str = ts.option(
        default="server",
        help="who confirms a record: `server`, once it is on disk; `broker`, for use without a moodwire server",
    )
    home_assistant: bool = ts.option(default=False, help="announce this device to Home Assistant through the broker")
    dashboard_url: str = ts.option(
        default="", help="http:// or https:// URL of the dashboard, which Home Assistant links to; empty: no link"
    )
    model_key: str = ts.option(default="", help="public key of whoever may send models to this device; empty: nobody")
    clock_wait_s: float = ts.option(
        default=600.0,
        help="seconds that records wait for the clock's first synchronisation, 0 to 600; 0: trust the clock",
    )
    outbox_max_rows: int = ts.option(
        default=500_000, help="records kept while they cannot be sent; beyond that the oldest are dropped"
    )
    outbox_max_mb: float = ts.option(
        default=256.0, help="megabytes of records kept; beyond that the oldest are dropped"
    )
    outbox_max_age_days: float = ts.option(default=30.0, help="days that a record is kept; older ones are dropped")

    @property
    def mqtt_files(self) -> tuple[str, str, str]:
        """Files for TLS: authority, certificate, key."""
        return self.mqtt_ca_file, self.mqtt_cert_file, self.mqtt_key_file

    @property
    def channel_number(self) -> int | None:
        """Number of the channel to hear, from 1; None for the mean of all."""
        return channels.parse(self.channel)

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range; the message names the range.
        """
        _check_state_dir(self.state_dir)
        text.check_name(self.name)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} is {value}; use {least:g} to {most:g}")
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; use {_or(allowed)}")
        channels.parse(self.channel)
        if bool(self.mqtt_cert_file) != bool(self.mqtt_key_file):
            raise ValueError("only one of mqtt_cert_file and mqtt_key_file is set; set both or neither")
        if self.dashboard_url and not _is_http_url(self.dashboard_url):
            place = urls.readable(self.dashboard_url)
            raise ValueError(f"dashboard_url is {place!r}; give an http:// or https:// URL with a host")
        if self.model_key and not re.fullmatch("[0-9a-f]{64}", self.model_key):
            raise ValueError("model_key is no public key; use the 64 hex digits that `moodwire bundle keygen` prints")
        if self.clips and self.mic:
            raise ValueError("both clips and mic are set; set one of them")
