"""A device learns what is usual where it stands, keeps it, and forgets it when it must."""

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

import models.bundle
from device.inference import baseline as module
from device.inference.baseline import FILE, Baseline, Origin
from models.baseline import Reference

REFERENCE = Reference(logs=((2.0, 0.0, -2.0), (0.0, 2.0, -2.0), (-2.0, -1.0, 3.0)), mix=(0.15, 0.15, 0.7))
MANIFEST = replace(models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest, baseline=REFERENCE)
ORIGIN = Origin(model="a" * 64, source="USB", generation=1, forgotten=0)
ANGRY = np.array([0.7, 0.2, 0.1])
"""What an even voice gets in this room."""


def learning(state_dir: Path, origin: Origin = ORIGIN, windows: int = 0) -> Baseline:
    """Return a baseline that has heard so many windows."""
    found = Baseline(state_dir, on=True, half_life_min=60)
    found.use(MANIFEST, origin)
    for _ in range(windows):
        found.adjust(ANGRY)
    return found


def heard(baseline: Baseline) -> int:
    """Return how many windows it is worth, as its health says."""
    health = baseline.health()
    assert health is not None
    return health.heard


def learned_at(baseline: Baseline) -> int | None:
    """Return since when it is learned, as its health says."""
    health = baseline.health()
    assert health is not None
    return health.learned_at


def test_what_is_always_heard_becomes_usual(tmp_path: Path) -> None:
    """At first the model's own scores are given; later an even voice is neutral, and says how far that is learned."""
    baseline = learning(tmp_path)
    first = baseline.adjust(ANGRY)
    assert first is not None
    for _ in range(199):
        last = baseline.adjust(ANGRY)

    assert (first.scores.tolist(), first.strength) == (pytest.approx(ANGRY.tolist()), 0)
    assert last is not None
    assert last.scores.argmax() == 2
    assert last.scores.sum() == pytest.approx(1)
    assert last.strength == pytest.approx(199 / 219, abs=0.01)
    health = baseline.health()
    assert health is not None
    assert (health.heard, health.wanted) == (196, 200), "of 200 windows the first already count a little less"


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """The file holds numbers only."""
    before = learning(tmp_path, windows=40)
    before.save()

    after = learning(tmp_path)

    assert after.health() == before.health()
    kept = msgspec.json.decode((tmp_path / FILE).read_bytes())
    assert kept.keys() == {"origin", "heard", "learned_at"}
    assert len(kept["heard"]["logs"]) == 3


def test_it_says_since_when_it_is_learned(tmp_path: Path) -> None:
    """The time is that of the window which made it learned; it survives a restart, and goes with what was learned."""
    began = time.time_ns() // 1_000_000
    baseline = learning(tmp_path, windows=200)
    assert learned_at(baseline) is None, "199 windows and a little"
    for _ in range(20):
        baseline.adjust(ANGRY)
    since = learned_at(baseline)
    assert since is not None
    assert began <= since <= time.time_ns() // 1_000_000
    baseline.save()

    assert learned_at(learning(tmp_path)) == since
    baseline.forget(2)
    assert learned_at(baseline) is None
    assert learned_at(learning(tmp_path, replace(ORIGIN, forgotten=1))) is None


@pytest.mark.parametrize("other", [{"model": "b" * 64}, {"source": "line in"}, {"generation": 2}, {"forgotten": 1}])
def test_it_begins_anew(tmp_path: Path, other: dict[str, object]) -> None:
    """With another model or microphone, after an erasure and on command; at once and after a restart."""
    origin = replace(ORIGIN, **other)
    baseline = learning(tmp_path, windows=40)
    baseline.save()
    restarted = learning(tmp_path, origin)
    baseline.use(MANIFEST, origin)

    assert (heard(baseline), heard(restarted)) == (0, 0)
    assert not (tmp_path / FILE).exists(), "the old one is deleted"


def test_the_same_source_opened_again_goes_on(tmp_path: Path) -> None:
    """After a pause or a change of the gate nothing is lost."""
    baseline = learning(tmp_path, windows=40)

    baseline.use(MANIFEST, ORIGIN)

    assert heard(baseline) == 39


def test_an_erasure_deletes_it(tmp_path: Path) -> None:
    """In memory and on disk, and what is learned afterwards belongs to the new generation."""
    baseline = learning(tmp_path, windows=40)
    baseline.save()

    baseline.forget(2)

    assert heard(baseline) == 0
    assert not (tmp_path / FILE).exists()
    baseline.adjust(ANGRY)
    baseline.save()
    assert msgspec.json.decode((tmp_path / FILE).read_bytes())["origin"]["generation"] == 2


def test_it_is_written_at_a_bounded_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each window, and again only after some minutes."""
    now_s = [1_000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s[0])
    baseline = learning(tmp_path)
    written = []
    for _ in range(1_000):
        now_s[0] += 1
        baseline.adjust(ANGRY)
        written.append((tmp_path / FILE).read_bytes() if (tmp_path / FILE).exists() else b"")

    assert len(set(written)) - 1 == 3


def test_a_broken_file_or_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is logged, and the device learns anew."""
    (tmp_path / FILE).write_text('{"origin": 1}')
    baseline = learning(tmp_path, windows=40)
    monkeypatch.setattr(module.files, "replace", full)

    baseline.save()

    assert heard(baseline) == 39
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def full(_path: Path, _content: bytes) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


def test_a_device_without_one_gives_the_scores_as_they_are(tmp_path: Path) -> None:
    """Because it is switched off, or because the model's bundle is of an older version."""
    off = Baseline(tmp_path, on=False, half_life_min=60)
    off.use(MANIFEST, ORIGIN)
    old = Baseline(tmp_path, on=True, half_life_min=60)
    old.use(replace(MANIFEST, baseline=None), ORIGIN)

    for baseline in (off, old):
        assert baseline.adjust(ANGRY) is None
        assert baseline.health() is None
        baseline.save()
    assert not (tmp_path / FILE).exists()


def test_the_assumed_share_of_neutral_is_a_setting(tmp_path: Path) -> None:
    """The less neutral speech is assumed, the less an even voice is pulled towards it."""
    found = []
    for share in (0.0, 0.7, 0.4):
        baseline = Baseline(tmp_path / str(share), on=True, half_life_min=60, neutral_share=share)
        baseline.use(MANIFEST, ORIGIN)
        for _ in range(100):
            adjusted = baseline.adjust(ANGRY)
        assert adjusted is not None
        found.append(float(adjusted.scores[2]))

    assert found[0] == pytest.approx(found[1])
    assert found[2] < found[1]
