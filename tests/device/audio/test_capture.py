"""The queue between PortAudio's thread and the pipeline; `test_microphone.py` has the streams."""

from typing import cast

import numpy as np

from device.audio.capture import QUEUE_BLOCKS, CapturedBlock, CaptureQueue, CaptureStream


def test_a_full_queue_drops_all_its_blocks_as_one_gap() -> None:
    """A pipeline that is too slow still gets long stretches without a gap."""
    captured = CaptureQueue()
    silence = np.zeros((1, 1), np.int16)
    for number in range(QUEUE_BLOCKS + 3):
        captured.put(CapturedBlock(silence, number, after_gap=number == 0, stream=cast("CaptureStream", None)))

    left = [captured.get(0) for _ in range(3)]

    assert captured.dropped == QUEUE_BLOCKS
    assert [(block.end_ms, block.after_gap) for block in left if block] == [
        (QUEUE_BLOCKS, True),
        (QUEUE_BLOCKS + 1, False),
        (QUEUE_BLOCKS + 2, False),
    ]
    assert captured.get(0) is None
