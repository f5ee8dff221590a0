"""An alert is raised and cleared once each and not too often, and an invalid rule is refused."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webhooks import rule

from server.alerts.rules import MINUTE_MS, AlertState, Measured, evaluate, load
from server.errors import UnusableError

MEASURED = st.builds(Measured, st.floats(0, 1), st.integers(0, 6))


LOOKS = st.lists(st.tuples(st.integers(0, 40 * MINUTE_MS), MEASURED), max_size=60)


@given(LOOKS, st.floats(0.2, 1), st.floats(0.01, 0.2), st.integers(0, 60))
def test_raises_and_clears_alternate_and_keep_the_cooldown(
    looks: list[tuple[int, Measured]], above: float, distance: float, cooldown: int
) -> None:
    """Each change has its reason, and two raises are at least a cooldown apart."""
    one = rule(above=above, below=above - distance, cooldown_minutes=cooldown)
    state, now, told = AlertState(), 0, []
    for pause, measured in looks:
        now += pause
        state, change = evaluate(one, state, now, measured)
        assert state.raised == (bool(told or change) and (change or told[-1][1]) == "raised")
        if change == "raised":
            assert measured.mean >= one.above
            assert measured.readings >= one.least_readings
        if change == "cleared":
            assert measured.mean < one.below or measured.readings == 0
        if change:
            told.append((now, change))
    assert [change for _, change in told] == ["raised", "cleared"] * (len(told) // 2) + ["raised"] * (len(told) % 2)
    raised = [at for at, change in told if change == "raised"]
    assert all(later - earlier >= cooldown * MINUTE_MS for earlier, later in itertools.pairwise(raised))


@given(LOOKS)
def test_between_the_thresholds_nothing_changes(looks: list[tuple[int, Measured]]) -> None:
    """A mean that moves between both thresholds neither raises nor clears, whatever was before."""
    one = rule(above=0.6, below=0.4)
    for state in (AlertState(), AlertState(raised=True, raised_at=0)):
        for now, measured in looks:
            between = Measured(0.4 + 0.1999 * measured.mean, measured.readings + 1)
            assert evaluate(one, state, now, between) == (state, None)


def test_an_alert_outlasts_its_cooldown_and_is_raised_when_it_ends() -> None:
    """What is still above behind the cooldown is raised at the first look after it."""
    one = rule(cooldown_minutes=10)
    state = AlertState(raised=False, raised_at=0)
    assert evaluate(one, state, 10 * MINUTE_MS - 1, Measured(0.9, 9))[1] is None
    assert evaluate(one, state, 10 * MINUTE_MS, Measured(0.9, 9))[1] == "raised"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "missing required field `rule`"),
        ("rule = [", "cannot use the rules in"),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 2\nbelow = 0.1\n',
            r"Expected `float` <= 1.* `\$.rule\[0\].above`",
        ),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\n',
            "rule 'a' in .*: set either webhook or topic",
        ),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.6\ntopic = "t"\n', "set below lower"),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopic = "t/#"\n', "use no \\+ or #"),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\nwebhook = "file:///etc"\n',
            "begin it with http://",
        ),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopics = "t"\n', "unknown field `topics`"),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopic = "t"\n' * 2,
            "has this name",
        ),
    ],
)
def test_an_invalid_rule_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """A file that cannot be used is refused with the rule and what to do."""
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    with pytest.raises(UnusableError, match=sentence):
        load(file)


def test_rules_in_another_encoding_are_named(tmp_path: Path) -> None:
    """The sentence says which file it is, and what to do."""
    file = tmp_path / "alerts.toml"
    file.write_bytes('[[rule]]\nname = "Küche"\n'.encode("latin-1"))
    with pytest.raises(
        UnusableError, match=rf"^cannot use the rules: {file} is not in UTF-8 \(.*\); save it as UTF-8$"
    ):
        load(file)


def test_the_rules_of_the_guide_are_right(tmp_path: Path) -> None:
    """The example in docs/operations.md can be used as it stands."""
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    file = tmp_path / "alerts.toml"
    file.write_text(guide.partition("```toml\n")[2].partition("```")[0])
    assert [one.name for one in load(file)] == ["anger in the kitchen", "joy"]
