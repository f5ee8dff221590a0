"""What the trial of streams says of whole clips."""

import numpy as np
import pytest

from trials import streams
from trials.streams import NOBODY, UNCLEAR, Classified


def test_a_clip_without_a_reading_is_missed() -> None:
    """A clip's answer is the mean over its readings; one whose windows are all silent is wrong, and is not left out."""
    nothing = [np.nan, np.nan]
    rows = [
        (0, "speech", [0.9, 0.1], 0),
        (0, "uncertain", [0.4, 0.6], 0),  # together 0.65 for the truth
        (NOBODY, "speech", [0.0, 1.0], NOBODY),
        (1, "silent", nothing, 1),
        (1, "noise", nothing, 1),
        (UNCLEAR, "speech", [0.0, 1.0], NOBODY),
        (1, "silent", nothing, 2),
        (1, "speech", [0.2, 0.8], 2),
    ]
    truth, state, scores, clips = (np.array(column) for column in zip(*rows, strict=True))

    share, uar = streams.of_clips(Classified(truth, state, scores, scores, clips))

    assert share == pytest.approx(2 / 3)
    assert uar == pytest.approx((1 + 1 / 2) / 2)
