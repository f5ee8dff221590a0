"""Decoding JSON of unknown origin raises what its readers expect."""

import msgspec
import pytest

from common.decoding import JSON_ERRORS


class Named(msgspec.Struct):
    """Something to decode."""

    name: str
    more: list[object] = []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"name":1}',
        b'{"name":"\xff"}',
        b'{"\xff":1}',
        b'{"name":"\\ud800"}',
        b"[" * 50_000,
        b'{"name":"x","more":' + b"[" * 50_000,
    ],
)
def test_every_malformed_text_is_one_of_the_errors(content: bytes) -> None:
    """Neither a wrong value, nor a broken text, nor one that is too deep raises anything else."""
    with pytest.raises(JSON_ERRORS):
        msgspec.json.decode(content, type=Named)
