"""The device's doctor with `--json`, on the services of a healthy installation."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from brokers import RunningBroker
from rooms import Room
from services import RunningStore

import moodwire
from models.frontend import Samples

NAMES = ["microphone", "level", "speech_gate", "identity", "model", "baseline", "broker", "server"]
NAMES += ["clock", "disk", "outbox", "permissions"]
SAMPLES = 32_000


class Hospital(NamedTuple):
    """The services of a healthy installation."""

    broker: RunningBroker
    store: RunningStore
    ingest: Room


class Diagnosis(NamedTuple):
    """The JSON that the doctor printed."""

    code: int
    results: dict[str, str]
    told: dict[str, str]
    """By check: what was found, and what to do."""


def examine(capsys: pytest.CaptureFixture[str], *flags: str) -> Diagnosis:
    """Run the doctor with `--json`."""
    capsys.readouterr()
    code = moodwire.main(["device", "doctor", "--json", *flags])
    report = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in report["checks"]] == NAMES
    assert (report["result"] == "fail") == (code == 1)
    return Diagnosis(
        code,
        {check["name"]: check["result"] for check in report["checks"]},
        {check["name"]: f"{check['seen']} -> {check['todo']}" for check in report["checks"]},
    )


def noise(dbfs: float) -> Samples:
    """Return two seconds of steady noise of this level."""
    samples = np.random.default_rng(1).normal(0, 32_768 * 10 ** (dbfs / 20), SAMPLES)
    return np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
