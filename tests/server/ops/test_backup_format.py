"""Backups of earlier versions can be read, and those of this version by them."""

import msgspec
import pytest

from server.ops.backup_format import AnyLine, BootLine, HeardLine

LINES = [
    '{"type":"moodwire-backup","format":1,"made":"2026-11-30T12:00:00Z","version":"0.2.0"}',
    (
        '{"type":"device","device":"0123456789ab","generation":1,"erased_at":0,"first_seen":1,"last_seen":2,'
        '"name":"Kitchen","state":"online","labels":"ANG,NEU","model":"m","version":"0.2.0"}'
    ),
    (
        '{"type":"boot","device":"0123456789ab","generation":1,"boot":"00000000000000aa","first_at":1,"last_at":2,'
        '"first_arrival":3,"last_arrival":4,"seen":[[0,7],[9,9]],"records":9,"lowest":0,"highest":9}'
    ),
    (
        '{"type":"readings","device":"0123456789ab","generation":1,"kind":{"model":"m","span_ms":3000,'
        '"labels":["ANG","NEU"]},"rows":[[5,"speech",-20.5,true,[0.25,0.75]]]}'
    ),
    '{"type":"heard","device":"0123456789ab","generation":1,"rows":[[5,60000,60,50,10,2,0,-60.0,0.0,null,false]]}',
    '{"type":"events","device":"0123456789ab","generation":1,"rows":[["5-0","online","m"]]}',
    (
        '{"type":"rollups","device":"0123456789ab","generation":1,"kind":{"model":"m","span_ms":3000,"labels":["ANG"]},'
        '"level":"d","group":3,"rows":[[1,[1,0,7]]]}'
    ),
    '{"type":"end","devices":1,"readings":1}',
]


@pytest.mark.parametrize("line", LINES)
def test_the_lines_of_a_backup_stay_what_they_were(line: str) -> None:
    """A line of the first format is read, and written again as it was."""
    assert msgspec.json.encode(msgspec.json.decode(line, type=AnyLine)).decode() == line


def test_heard_records_of_the_first_backups_are_read() -> None:
    """Before the format had them, nothing was known of the distance of speech from the background, or of a pause."""
    line = '{"type":"heard","device":"0123456789ab","generation":1,"rows":[[5,60000,60,50,10,2,0,-60.0,0.0]]}'

    (row,) = msgspec.json.decode(line, type=HeardLine).rows

    assert (row.snr_db, row.paused) == (None, False)


def test_boots_of_version_0_2_0_are_read() -> None:
    """Before the format had the counts of a boot, they were those of its sequence numbers."""
    line = (
        '{"type":"boot","device":"0123456789ab","generation":1,"boot":"00000000000000aa","first_at":1,"last_at":2,'
        '"first_arrival":3,"last_arrival":4,"seen":[[0,7],[9,9]]}'
    )

    boot = msgspec.json.decode(line, type=BootLine)

    assert (boot.records, boot.lowest, boot.highest) == (0, None, None)
