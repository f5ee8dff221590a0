"""The table of what the device costs here."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import moodwire

TIMED = ["one window, p50 / p95 / p99", "- of that, the model", "- front end, alone", "- speech gate, alone"]


@pytest.fixture(autouse=True)
def settings_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no file of the person who runs the tests interfere, and 50 windows be enough."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("device.ops.bench.COUNTED_WINDOWS", 50)


def bench(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Return what the bench prints."""
    assert moodwire.main(["device", "bench", *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_each_stage_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    """Front end, gate, model and whole window have three percentiles in order, and the whole is more than the model."""
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in bench(capsys).splitlines())

    times = {name: [float(number) for number in re.findall(r"\d+\.\d+", rows[name])] for name in TIMED}
    for name, percentiles in times.items():
        assert len(percentiles) == 3, name
        assert percentiles == sorted(percentiles), name
    assert times[TIMED[0]][0] > times[TIMED[1]][0] > 0
    assert rows["windows"] == "50, 50 with speech; 50 to warm up"
    assert re.fullmatch(r"\d+\.\d\d ms a window, \d+\.\d\d% of a core at a hop of 1000 ms", rows["processor time"])
    assert re.fullmatch(r"\d+\.\d\d ms a window, \d+\.\d\d% of a core", rows["in a quiet room"])
    assert float(rows["in a quiet room"].split()[0]) < float(rows["processor time"].split()[0])
    assert rows["machine"].partition(", ")[0]


@pytest.mark.slow
def test_the_table_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    """As Markdown it has the same rows, between bars."""
    lines = bench(capsys, "--markdown").splitlines()

    assert lines[:2] == ["| what | measured |", "|---|---|"]
    assert all(line.count("|") == 3 for line in lines)
    assert any(line.startswith("| resident memory at the end |") for line in lines)


@pytest.mark.slow
def test_silence_costs_no_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In a quiet room the model is not run, and the table says so instead of telling times."""
    soundfile.write(tmp_path / "quiet.wav", np.random.default_rng(0).normal(0, 1e-4, 64_000), 16_000)

    printed = bench(capsys, "--clips", str(tmp_path / "quiet.wav"))

    assert "50, 0 with speech" in printed
    assert "not run: nothing was taken for speech" in printed
