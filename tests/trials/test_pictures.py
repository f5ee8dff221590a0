"""The pictures of the trials: every curve has its name beside it, and no words cover others."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from drawings import overlapping, text_boxes

from models.baseline import Reference
from trials import pictures, room_day, room_day_picture, room_day_sound, rooms
from trials.room_day_picture import Told


@pytest.mark.parametrize(
    ("wanted", "placed"),
    [
        ([0, 10], [0, 10]),
        ([5, 5, 5], [4, 5, 6]),
        ([0, 0, 9], [-0.5, 0.5, 9]),
        ([1, 1.5, 2, 2], [0.125, 1.125, 2.125, 3.125]),
    ],
)
def test_names_stand_as_near_as_may_be_to_their_curves(wanted: list[float], placed: list[float]) -> None:
    """Names that would cover each other share what they are moved by; others stay where they are."""
    assert pictures.apart(wanted, 1) == pytest.approx(placed)


@pytest.mark.slow
@pytest.mark.parametrize("right", [0.4, 0.95])
def test_each_curve_of_the_rooms_is_named_apart(right: float) -> None:
    """However bad or good a model is, all words stand on the picture, and none on another."""
    rng = np.random.default_rng(1)
    truth = np.tile(np.arange(3), 120)
    said = np.where(rng.random(360) < right, truth, rng.integers(0, 3, 360))
    known = Reference(logs=tuple(map(tuple, np.log(np.eye(3) * 0.7 + 0.1).tolist())), mix=(0.15, 0.15, 0.7))
    corpora = [
        rooms.Corpus(title, np.eye(3)[said] * 0.7 + 0.1, truth, np.repeat(np.arange(30), 12), known, 2)
        for title in ("RAVDESS", "EmoDB, which trained it", "CREMA-D, which trained it")
    ]

    figure = rooms.draw("ang-hap-neu-10", corpora)

    boxes = text_boxes(figure)
    assert len(boxes) > 3 * len(rooms.SHARES)
    assert overlapping(boxes) == []


def test_a_day_has_its_voices_marks_and_counts_apart() -> None:
    """Each hour tells who talks and what else there is, over its bars; no words leave the picture or cover others."""
    shares = {"ANG": 0.2, "HAP": 0.1, "NEU": 0.7}
    day = [
        Told(
            voices=" ".join(hour.voices),
            event=hour.event,
            other_microphone=number >= room_day_sound.OTHER_MICROPHONE,
            spoken=shares if hour.voices else {},
            readings=1_442 if hour.voices else 7 if hour.event else 0,
            uncertain=0.3 if hour.voices or hour.event else None,
            shares=shares,
            cold=0.6 if hour.voices else None,
            after=0.7 - 0.02 * (number % 9) if hour.voices else None,
            strengths=[(0.0, 0.0), (0.1, 0.5), (0.2, 0.9)],
        )
        for number, hour in enumerate(room_day_sound.DAY)
    ]

    figure = room_day_picture.draw("ang-hap-neu-10", tuple(shares), day)

    boxes = text_boxes(figure)
    for words, count in {"'music'": 3, "'quarrel'": 1, "'another microphone from here'": 1, "'1442'": 14}.items():
        assert sum(words in each for each in boxes) == count, words
    assert overlapping(boxes) == []


@pytest.mark.parametrize(
    ("hour", "zone"), [(0, "Etc/UTC"), (1, "Etc/GMT+1"), (11, "Etc/GMT+11"), (12, "Etc/GMT-12"), (22, "Etc/GMT-2")]
)
def test_the_day_begins_at_midnight_somewhere(hour: int, zone: str) -> None:
    """The page shows the last 24 hours in a zone where they are a day."""
    start = datetime(2026, 11, 29, hour, tzinfo=UTC)

    assert room_day.zone_of(int(start.timestamp()) * 1_000) == zone
    assert start.astimezone(ZoneInfo(zone)).hour == 0
