"""Schedules of faults: from a seed, and from a plan."""

from pathlib import Path

import pytest

from trials.chaos import plan
from trials.chaos.registry import FAULTS


def test_a_seed_gives_the_same_schedule_each_time() -> None:
    """So a seed that failed can be repeated, and another seed gives another schedule."""
    assert plan.at_random(7, 3, 0.0) == plan.at_random(7, 3, 0.0)
    assert plan.at_random(7, 3, 0.0).step != plan.at_random(8, 3, 0.0).step


def test_schedules_at_random_have_every_fault_and_stay_within_its_bounds() -> None:
    """A thousand seeds are enough to meet each fault, on each kind of store."""
    schedules = [plan.at_random(seed, 3, 0.0) for seed in range(1_000)]

    steps = [step for schedule in schedules for step in schedule.step]
    assert {step.fault for step in steps} == FAULTS.keys()
    assert {schedule.valkey for schedule in schedules} == {False, True}
    for step in steps:
        least_s, most_s = FAULTS[step.fault].for_s
        assert least_s <= step.for_s <= most_s
        assert step.device < 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing required field `schedule`"),
        ("[[schedule", "Expected"),
        ("[[schedule]]\ndevice = 3", "unknown field `device`"),
        ("[[schedule]]\ndevices = 0", "`devices`|>= 1"),
        ("[[schedule]]\n[[schedule.step]]\nfault = 'flood'", "a fault 'flood', which there is not"),
        ("[[schedule]]\ndevices = 2\n[[schedule.step]]\nfault = 'device-killed'\ndevice = 2", "there are 2, counted"),
    ],
)
def test_a_plan_of_no_use_is_told_in_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    """It names the file and what is wrong in it."""
    path = tmp_path / "plan.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=rf"^plan {path} (cannot be used: .*|has |lets .*)") as caught:
        plan.read(path)
    assert any(word in str(caught.value) for word in reason.split("|"))


def test_each_fault_says_what_it_does() -> None:
    """One sentence for people, under a name that a plan can have."""
    for name, fault in FAULTS.items():
        assert name == name.lower()
        assert fault.what.endswith("."), name
        assert 0 < fault.for_s[0] <= fault.for_s[1], name
