"""WAV files with headers as other programs leave them."""

import struct

from models.frontend import Samples


def wav(
    samples: Samples, *, whole: int | None = None, data: int | None = None, rate_hz: int = 16_000, channels: int = 1
) -> bytes:
    """Return a WAV file of 16 bits; its header may say other sizes, another rate and other channels than are true.

    Args:
        samples: shape (samples,), channels interleaved.
        whole: size of the RIFF chunk; None for the true one.
        data: size of the chunk of sound; None for the true one.
        rate_hz: sample rate in the header.
        channels: number of channels in the header.
    """
    content = samples.astype("<i2").tobytes()
    second = rate_hz * 2 * channels & 0xFFFF_FFFF
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, second, 2 * channels & 0xFFFF, 16)
    whole = 36 + len(content) if whole is None else whole
    data = len(content) if data is None else data
    return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + head + struct.pack("<4sI", b"data", data) + content
