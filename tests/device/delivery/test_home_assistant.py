"""Home Assistant: the announcement is what its documentation asks for, and what is said of the device fits it."""

import errno
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from brokers import DEVICE
from home_assistant import shown
from msgspec.structs import replace
from records import status

from broker import topics
from broker.messages import BaselineHealth, Health, LiveState, encode
from device.delivery.home_assistant import MAX_INTERVAL_S, MIN_INTERVAL_S, HomeAssistant, announcement

STATUS = status(labels=("ANG", "HAP", "NEU"))
ANNOUNCEMENT = topics.home_assistant(DEVICE)
STATE = topics.topic(DEVICE, "state")
TOLD = [ANNOUNCEMENT, topics.topic(DEVICE, "status")]
"""What an announcement consists of: Home Assistant drops a state that comes before it knows the options."""
TALK = LiveState(at=1, state="speech", top="ANG", scores={"ANG": 0.7, "HAP": 0.2, "NEU": 0.1}, level_dbfs=-20)
SILENCE = LiveState(at=1, state="silent", top=None, scores={}, level_dbfs=-70)
HEALTH = Health(
    boot="0" * 16,
    inference_p50_ms=1.0,
    inference_p95_ms=2.5,
    cpu_ratio=0.0314,
    rss_bytes=1,
    temperature_c=None,
    outbox_rows=7,
    outbox_oldest_age_s=0,
    dropped=0,
    source="microphone",
    clock_synced=True,
)


@pytest.fixture
def announced() -> dict[str, Any]:
    """Return the announcement as Home Assistant reads it."""
    found: dict[str, Any] = json.loads(announcement(DEVICE, STATUS))
    return found


def test_the_topic_is_one_that_home_assistant_listens_to() -> None:
    """Prefix, component, node id and object id have only the characters that Home Assistant allows."""
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", ANNOUNCEMENT)


def test_the_announcement_has_every_entity(announced: dict[str, Any]) -> None:
    """Emotion, a percentage per label, level, diagnostics and controls are there."""
    entities = announced["components"]

    assert entities.keys() == {
        "emotion", "ang", "hap", "neu", "level", "cpu", "temperature", "outbox", "inference", "capture", "baseline",
        "switch-listening", "number-gate", "select-model", "button-forget", "button-rollback",
    }  # fmt: skip
    assert entities["emotion"]["options"] == ["ANG", "HAP", "NEU", "uncertain", "noise", "silent", "paused"]
    assert announced["device"]["name"] == STATUS.name


def test_no_key_is_abbreviated() -> None:
    """Which abbreviations there are changes between versions of Home Assistant; the full names stay."""
    assert not re.findall(rb'"(cmp|cmps|dev|o|avty|stat_t|val_tpl|uniq_id|p|object_id)":', announcement(DEVICE, STATUS))


@pytest.mark.parametrize(
    ("live", "emotion", "ang"),
    [
        (TALK, "ANG", "70.0"),
        (replace(TALK, state="uncertain", top=None), "uncertain", "70.0"),
        (SILENCE, "silent", "None"),
        (replace(SILENCE, state="paused"), "paused", "None"),
    ],
)
def test_templates_read_the_live_state(announced: dict[str, Any], live: LiveState, emotion: str, ang: str) -> None:
    """The emotion is one of its options, and a score is a percentage, or unknown (None) when nobody speaks."""
    entities = announced["components"]
    payload = encode(live)

    assert shown(entities["emotion"]["value_template"], payload) == emotion
    assert emotion in entities["emotion"]["options"]
    assert shown(entities["ang"]["value_template"], payload) == ang
    assert shown(entities["level"]["value_template"], payload) == str(live.level_dbfs)
    assert entities["emotion"]["state_topic"] == STATE


def test_templates_read_health(announced: dict[str, Any]) -> None:
    """Diagnostics come from the device's health; a temperature that nobody measures is unknown."""
    wanted = {
        "cpu": "3.1",
        "temperature": "None",
        "outbox": "7",
        "inference": "2.5",
        "capture": "ok",
        "baseline": "67.0",
    }
    health = encode(replace(HEALTH, baseline=BaselineHealth(strength=0.667, heard=40, wanted=200)))
    diagnostics = {
        name: entity
        for name, entity in announced["components"].items()
        if entity.get("entity_category") == "diagnostic"
    }

    assert {name: shown(entity["value_template"], health) for name, entity in diagnostics.items()} == wanted
    assert {entity["state_topic"] for entity in diagnostics.values()} == {topics.topic(DEVICE, "health")}
    assert shown(diagnostics["baseline"]["value_template"], encode(HEALTH)) == "None", "without one it is unknown"


@pytest.mark.parametrize(
    ("payload", "available"),
    [
        (encode(STATUS), "online"),
        (encode(replace(STATUS, state="paused")), "online"),
        (encode(replace(STATUS, state="offline")), "offline"),
        (None, "offline"),
    ],
)
def test_availability_follows_the_status(announced: dict[str, Any], payload: bytes | None, available: str) -> None:
    """A paused device is there, an offline or erased one is not."""
    (availability,) = announced["availability"]

    assert availability["topic"] == topics.topic(DEVICE, "status")
    assert shown(availability["value_template"], payload) == available


def home(tmp_path: Path, *, on: bool = True) -> HomeAssistant:
    """Return what a device has for Home Assistant."""
    return HomeAssistant(DEVICE, on=on, state_dir=tmp_path)


def said(assistant: HomeAssistant, now_s: float, **changes: Any) -> list[str]:
    """Return the topics of what is due."""
    return [topic for topic, _ in assistant.due(replace(STATUS, **changes), now_s)]


def test_the_announcement_goes_out_once_and_again_when_asked(tmp_path: Path) -> None:
    """It is said at a connect, when Home Assistant starts, and when name, labels or models change; not otherwise."""
    assistant = home(tmp_path)

    assert said(assistant, 100) == TOLD
    assert said(assistant, 101) == []
    assistant.publish_again()
    assert said(assistant, 102) == TOLD
    assert said(assistant, 103, name="Hall") == TOLD
    assert said(assistant, 104, name="Hall", state="paused") == []
    assert said(assistant, 105, name="Hall", gate_dbfs=-40) == []
    assert said(assistant, 106, name="Hall", models=("other-2",)) == TOLD
    assert said(assistant, 107, name="Hall", models=("other-2",), can_roll_back=True) == TOLD


def test_a_status_that_changes_what_is_announced_comes_after_the_announcement(tmp_path: Path) -> None:
    """A new model is first among the options and then in force; nothing is announced for who does not want it."""
    assistant = home(tmp_path)
    assistant.due(STATUS, 100)

    other = replace(STATUS, model="other-2", models=("other-2",))
    assert assistant.is_due(other)
    assert assistant.due(other, 101) == [
        (ANNOUNCEMENT, announcement(DEVICE, other)),
        (topics.topic(DEVICE, "status"), encode(other)),
    ]
    assert not assistant.is_due(other)
    assert not assistant.is_due(replace(other, state="paused", gate_dbfs=-30))
    assert not home(tmp_path / "off", on=False).is_due(other)


def test_the_live_state_is_slow_enough_for_a_database(tmp_path: Path) -> None:
    """In an hour of windows each second with changes each second, there are at least ten seconds between two."""
    assistant = home(tmp_path)
    assistant.due(STATUS, 0)
    times = []
    for second in range(1, 3_600):
        assistant.update(replace(TALK if second % 2 else SILENCE, at=second))
        if STATE in said(assistant, second):
            times.append(second)

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) >= MIN_INTERVAL_S
    assert max(pauses) <= MIN_INTERVAL_S + 1


def test_a_change_is_told_as_soon_as_it_may(tmp_path: Path) -> None:
    """Without a change the state is repeated every 30 s; with one it comes at once if ten seconds have passed."""
    assistant = home(tmp_path)
    assistant.due(STATUS, 0)
    times = []
    for second in range(1, 100):
        assistant.update(replace(TALK if second < 45 else SILENCE, at=second))
        if STATE in said(assistant, second):
            times.append(second)

    assert times == [1, 1 + MAX_INTERVAL_S, 45, 45 + MAX_INTERVAL_S]


def test_a_change_that_nobody_repeats_is_told_all_the_same(tmp_path: Path) -> None:
    """The last thing that was heard before the windows stopped comes when its time has come, and only once."""
    assistant = home(tmp_path)
    assistant.due(STATUS, 0)
    assistant.update(TALK)
    assert said(assistant, 1) == [STATE]
    assistant.update(replace(SILENCE, state="paused"))

    assert said(assistant, 5) == []
    assert said(assistant, 11) == [STATE]
    assert said(assistant, 500) == [], "what is no longer heard expires"


def test_who_never_wanted_it_never_sees_it(tmp_path: Path) -> None:
    """With the setting off nothing is published, whatever is heard."""
    assistant = home(tmp_path, on=False)
    assistant.publish_again()
    assistant.update(TALK)

    assert said(assistant, 0) == []
    assert not list(tmp_path.iterdir())


def test_turning_it_off_clears_what_was_announced(tmp_path: Path) -> None:
    """After the setting was turned off, announcement and state are cleared once the broker has taken that."""
    home(tmp_path).due(STATUS, 0)

    unheard = home(tmp_path, on=False)
    assert unheard.due(STATUS, 0) == [(ANNOUNCEMENT, b""), (STATE, b"")]
    heard = home(tmp_path, on=False)
    assert heard.due(STATUS, 0) == [(ANNOUNCEMENT, b""), (STATE, b"")]
    assert heard.due(STATUS, 1) == []
    heard.on_acknowledged(ANNOUNCEMENT)

    assert home(tmp_path, on=False).due(STATUS, 0) == []


def test_a_marker_that_cannot_be_deleted_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a disk that takes nothing the device says so, goes on, and clears again at the next start."""
    home(tmp_path).due(STATUS, 0)
    assistant = home(tmp_path, on=False)
    assistant.due(STATUS, 0)

    with monkeypatch.context() as read_only:
        read_only.setattr(Path, "unlink", deny)
        assistant.on_acknowledged(ANNOUNCEMENT)

    assert "cannot be deleted" in caplog.text
    assert home(tmp_path, on=False).due(STATUS, 0) == [(ANNOUNCEMENT, b""), (STATE, b"")]


def deny(_path: Path, **_options: bool) -> None:
    """Fail as on a disk that is mounted read-only."""
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_broker_that_throws_out_who_announces_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When three connections in a row end right after the announcement, it is given up with a sentence."""
    assistant = home(tmp_path)
    for start in (0, 10, 20):
        assistant.publish_again()
        assert said(assistant, start) == TOLD
        assistant.on_disconnected(start + 0.1)
    assistant.publish_again()

    assert said(assistant, 30) == []
    assert f"its access rules must allow {ANNOUNCEMENT}" in caplog.text


def test_connections_that_last_do_not_count_against_it(tmp_path: Path) -> None:
    """A poor network is no reason to stop announcing."""
    assistant = home(tmp_path)
    for start in range(0, 100, 10):
        assistant.publish_again()
        assert said(assistant, start) == TOLD
        assistant.on_disconnected(start + 5)
