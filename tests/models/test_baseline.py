"""What is usual where a device stands: the mean of the outputs, and the shift that follows from it."""

import msgspec
import numpy as np
import pytest

from models.baseline import LEAST_PROBABILITY, Heard, Reference, Values, reference, relative_logs, shifted, usual_mix
from models.runtime import softmax

LABELS = ("ANG", "HAP", "NEU")
RNG = np.random.default_rng(1)
TRUTH = RNG.integers(0, 3, 3_000)
LOGITS = RNG.normal(0, 1, (3_000, 3)) + 2 * np.eye(3)[TRUTH]
REFERENCE = reference(softmax(LOGITS), TRUTH, usual_mix(LABELS))
ROOM = np.array([2.5, 0.5, -3.0])
"""What another room does to the logits: everything sounds angry."""


def listen(logits: Values, half_life: float = 1e6) -> Heard:
    """Return what was heard."""
    return Heard().add(softmax(logits), half_life)


def recall(scores: Values) -> list[float]:
    """Return the recall of each label over the corpus."""
    return [float((scores.argmax(axis=1) == label)[label == TRUTH].mean()) for label in range(3)]


@pytest.mark.parametrize("neutral", [0.5, 0.7, 0.9])
def test_a_room_that_moves_every_score_is_found_out(neutral: float) -> None:
    """Whatever is heard there, from 50 to 90 % neutral, no emotion is lost any more."""
    cold = recall(softmax(LOGITS + ROOM))
    mix = np.array([(1 - neutral) / 2, (1 - neutral) / 2, neutral])
    chosen = [int(RNG.choice(np.flatnonzero(label == TRUTH))) for label in RNG.choice(3, 400, p=mix)]

    heard = listen((LOGITS + ROOM)[chosen])
    warm = recall(shifted(softmax(LOGITS + ROOM), heard.shift(REFERENCE)))

    assert cold[2] < 0.2
    assert min(warm) > 0.6


def test_nothing_is_shifted_before_anything_was_heard_and_more_the_more_was() -> None:
    """A device that starts gives the model's own scores."""
    assert Heard().strength == 0
    assert Heard().shift(REFERENCE).tolist() == [0, 0, 0]

    strengths = [listen(LOGITS[:count]).strength for count in (1, 20, 200)]

    assert strengths == pytest.approx([1 / 21, 0.5, 200 / 220], abs=1e-3)


def test_what_is_long_ago_counts_less() -> None:
    """After two half-lives a quarter of what was before is left."""
    before, since = np.zeros((1_000, 3)), np.tile(ROOM, (200, 1))

    heard = listen(np.concatenate((before, since)), half_life=100)

    assert np.array(heard.logs) == pytest.approx(0.75 * relative_logs(softmax(ROOM)), abs=0.02)
    assert heard.weight < 150


def test_windows_one_by_one_are_the_same_as_many_at_once() -> None:
    """Also where some were forgotten meanwhile."""
    one_by_one = Heard()
    for scores in softmax(LOGITS[:300]):
        one_by_one = one_by_one.add(scores, 100)
    at_once = listen(LOGITS[:300], 100)

    assert one_by_one.logs == pytest.approx(at_once.logs)
    assert one_by_one.weight == pytest.approx(at_once.weight)


def test_one_window_moves_the_mean_by_a_bounded_amount() -> None:
    """A model that is quite sure of nonsense counts no more than one that is fairly sure."""
    sure, fairly = relative_logs(np.array([1.0, 0.0, 0.0])), relative_logs(np.array([0.98, 0.01, 0.01]))

    assert sure == pytest.approx(fairly, abs=0.05)
    assert np.ptp(sure) == pytest.approx(-np.log(LEAST_PROBABILITY))


def test_another_share_leaves_the_others_in_proportion() -> None:
    """Also where one label had everything."""
    given = REFERENCE.with_share(2, 0.4)

    assert given.mix == pytest.approx((0.3, 0.3, 0.4))
    assert given.logs == REFERENCE.logs
    assert msgspec.structs.replace(REFERENCE, mix=(0, 0, 1)).with_share(2, 0.4).mix == pytest.approx((0.3, 0.3, 0.4))


def test_the_usual_mix_is_mostly_neutral_where_that_is_a_label() -> None:
    """Else all labels are alike."""
    assert usual_mix(LABELS) == pytest.approx((0.15, 0.15, 0.7))
    assert usual_mix(("ANG", "HAP")) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mix": [0.5, 0.5]}, "baseline has 2 shares; give as many rows of logs"),
        ({"logs": [[1, 2, 3], [1, 2, 3], [1, 2]]}, "baseline has 3 shares; give as many rows of logs"),
        ({"mix": [0.5, 0.5, 0.5]}, "give shares that sum to 1"),
        ({"mix": [-0.5, 0.5, 1]}, "give shares that sum to 1"),
        ({"mix": [], "logs": []}, "baseline has 0 shares"),
    ],
)
def test_a_malformed_reference_is_refused(changed: dict[str, object], sentence: str) -> None:
    """With what is wrong in it."""
    content = msgspec.json.encode(msgspec.to_builtins(REFERENCE) | changed)

    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.json.decode(content, type=Reference)
