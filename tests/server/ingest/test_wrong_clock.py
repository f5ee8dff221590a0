"""A store whose clock is wrong for a while refuses no reading for good and calls none too old, and ingest says why."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import rooms
from brokers import DEVICE, RunningBroker
from outboxes import open_outbox
from patience import REPLY_S
from records import DAY_MS
from services import RunningStore, running_store, wait_until
from sessions import put, running_session

from server.store.redis_store import RedisStore

pytestmark = pytest.mark.slow

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
/* gettimeofday(2) that is wrong by as many seconds as the file of MOVED_CLOCK says. */
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int done = real(now, zone);
    FILE *file = fopen(getenv("MOVED_CLOCK"), "r");
    long by_s = 0;
    if (file && fscanf(file, "%ld", &by_s) == 1 && now) now->tv_sec += by_s;
    if (file) fclose(file);
    return done;
}
"""


class MovedStore(NamedTuple):
    """A store, and what sets its clock wrong by so many seconds."""

    running: RunningStore
    move_s: Callable[[int], None]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovedStore]:
    """Run a store whose clock a test can set."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler is there to build a clock that can be set")
    library, moved = tmp_path / "clock.so", tmp_path / "moved"
    (tmp_path / "clock.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True)

    def move_s(seconds: int) -> None:
        (tmp_path / "new").write_text(str(seconds))
        (tmp_path / "new").replace(moved)

    move_s(0)
    (tmp_path / "store").mkdir()
    monkeypatch.setenv("MOVED_CLOCK", str(moved))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    with running_store(tmp_path / "store") as running:
        monkeypatch.delenv("LD_PRELOAD")
        before_ms = int(running.client.time()[0]) * 1000
        move_s(1_000)
        wait_until(lambda: int(running.client.time()[0]) * 1000 > before_ms + 900_000, "its clock can be set")
        move_s(0)
        wait_until(lambda: int(running.client.time()[0]) * 1000 < before_ms + 900_000, "its clock is right")
        yield MovedStore(running, move_s)


@pytest.mark.parametrize("wrong_s", [-86_400, 100 * 86_400])
def test_a_store_with_a_wrong_clock_costs_no_reading(
    broker: RunningBroker, store: MovedStore, tmp_path: Path, wrong_s: int
) -> None:
    """While the clock is wrong devices wait; when it is right again every reading is stored, and none was refused."""
    outbox = open_outbox(tmp_path / "state")
    reader = RedisStore(store.running.url, 90 * DAY_MS, 730 * DAY_MS)
    with rooms.ingest(tmp_path, broker, store.running) as room, running_session(broker, outbox) as session:
        room.says("the server is online")
        put(outbox, *range(20))
        session.notify()
        assert session.drain(REPLY_S) == 0
        store.move_s(wrong_s)
        for seq in range(20, 120):
            put(outbox, seq)
            session.notify()
        room.says("the clock of the store")
        wait_until(lambda: (state := reader.ingest_state()) and state.doubt, "ingest tells REST")
        store.move_s(0)
        room.says("the store is back")
        assert session.drain(REPLY_S) == 0
    assert outbox.refused() == []
    assert [(boot.records, boot.missing) for boot in reader.boots(DEVICE)] == [(120, 0)]
    assert sum(len(table.at) for table in reader.readings(DEVICE, 0, reader.now() + 1)) == 120
    counts = reader.outcome_counts()
    assert (counts.get("refused", 0), counts.get("expired", 0)) == (0, 0)
    reader.close()
