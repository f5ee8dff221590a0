"""Subscribers get every event once, also when they resume, and do not delay each other."""

import socket

import pytest
import requests
from brokers import DEVICE, OTHER_DEVICE
from clients import VIEWER
from live_events import ALL, ONE, LiveServer, connected
from patience import REPLY_S
from records import reading, status
from services import RunningStore, wait_until

from broker import topics
from server.live import broadcast
from server.store import live_stream

MAC = topics.mac_address(DEVICE)


def test_events_reach_subscribers_of_the_device_and_of_all(server: LiveServer) -> None:
    """Readings and statuses come in order and in small form."""
    server.send(DEVICE, status())
    server.send(OTHER_DEVICE, status())
    with connected(server, ALL) as everything, connected(server, ONE) as one:
        wait_until(lambda: server.subscribers() == 2, "both listen")
        before = len(everything.events)
        now = server.store.now()
        server.send(OTHER_DEVICE, reading(0, now))
        server.send(DEVICE, reading(0, now), status(state="paused", connection=2))
        heard, heard_all = one.wait(2)[-2:], everything.wait(before + 3)[-3:]
    assert one.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert one.response.headers["X-Accel-Buffering"] == "no"
    assert one.text.startswith("retry: 3000\n")
    assert {event[0] for event in heard} < {event[0] for event in heard_all}
    facts = {kind: told for _, kind, told in heard}
    assert facts["status"] == {
        "mac_address": MAC,
        "state": "paused",
        "name": "Kitchen",
        "labels": ["ANG", "HAP", "NEU"],
        "model": "ang-hap-neu-1",
    }
    assert facts["reading"] == {
        "mac_address": MAC,
        "at": now,
        "state": "speech",
        "scores": {"ANG": 0.7, "HAP": 0.2, "NEU": 0.1},
        "level_dbfs": -23.0,
        "model": "ang-hap-neu-1",
    }
    wait_until(lambda: server.subscribers() == 0, "those who go are forgotten")


def test_resuming_misses_and_repeats_nothing(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any event on, also in the middle of a batch, exactly the later ones come, while others still arrive."""
    monkeypatch.setattr(broadcast, "_ENTRIES_PER_POLL", 2)
    now = server.store.now()
    server.send(DEVICE, status(), *(reading(seq, now + seq) for seq in range(5)))
    server.readings(5, 6)
    with connected(server, ONE, last_event_id="1-0.0") as first:
        every = first.wait(13)
    assert [kind for _, kind, _ in every] == ["missed", "status"] + ["reading"] * 11
    for index in (1, 4, 7, 12):
        with connected(server, ONE, last_event_id=every[index][0]) as again:
            server.readings(100 + index, 1)
            found = again.wait(len(every) - index)
        assert found[: len(every) - index - 1] == every[index + 1 :]
        every = every[: index + 1] + found
    ids = [live_stream.parse(event[0]) for event in every[1:]]
    assert ids == sorted(set(ids))


def test_a_client_that_was_away_too_long_is_told(server: LiveServer) -> None:
    """If events after its last one are gone, `missed` comes first; no event of an erased device comes."""
    server.send(DEVICE, status())
    server.readings(0, 2)
    with connected(server, ONE, last_event_id="1-0.0") as client:
        (_, _, _), _, seen, _ = client.wait(4)
    server.store.erase(DEVICE)
    server.send(DEVICE, reading(9, server.store.now(), gen=1))
    with connected(server, ONE, last_event_id=seen[0]) as client:
        missed, only = client.wait(2)
    assert missed == ("", "missed", {"after": seen[0]})
    assert only[1] == "reading"
    assert 0 < server.store.execute("PTTL", "mw:live") <= live_stream.KEPT_MS


def test_heartbeats_fill_silence_and_a_revoked_token_ends_the_stream(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without events there are heartbeats; when the token is revoked the stream ends."""
    monkeypatch.setattr(broadcast, "_HEARTBEAT_S", 0.1)
    with connected(server, ALL) as client:
        wait_until(lambda: client.text.count(": still here\n\n") >= 2, "two heartbeats came")
        monkeypatch.setattr(server.guard, "from_settings", [])
        wait_until(lambda: client.ended, "the stream ends")


@pytest.mark.slow
def test_a_client_that_reads_nothing_is_dropped_and_delays_nobody(server: LiveServer) -> None:
    """It is dropped once a megabyte waits for it; another client gets everything meanwhile."""
    server.send(DEVICE, status())
    stuck = socket.create_connection(server.url.removeprefix("http://").split(":"))  # type: ignore[arg-type]
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(f"GET {ALL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {VIEWER}\r\n\r\n".encode())
    wait_until(lambda: server.subscribers() == 1, "the stuck one listens")
    assert server.broadcast.subscribers is not None
    (waiting,) = server.broadcast.subscribers._by_device[None]
    with connected(server, ALL) as client:
        wait_until(lambda: server.subscribers() == 2, "both listen")
        now, count = server.store.now(), 0
        while not waiting.ended:
            server.send(DEVICE, *(reading(count + seq, now + seq) for seq in range(1000)))
            count += 1000
            before = len(client.text)
            wait_until(lambda: len(client.text) > before, "the other one hears")  # noqa: B023
            assert count < 20_000
        wait_until(lambda: client.text.count("event: reading") == count, "the other one has heard everything")
        assert not waiting._queue
    stuck.close()
    wait_until(lambda: server.subscribers() == 0, "the stuck one is forgotten")


@pytest.mark.slow
def test_subscribers_stay_while_the_store_is_away(server: LiveServer, redis_store: RunningStore) -> None:
    """The process lives and is not ready; when the store is back, events come again."""
    with connected(server, ALL) as client:
        redis_store.kill()
        wait_until(lambda: requests.get(f"{server.url}/readyz", timeout=REPLY_S).status_code == 503, "it is not ready")
        assert requests.get(f"{server.url}/livez", timeout=REPLY_S).ok
        redis_store.start()
        wait_until(lambda: requests.get(f"{server.url}/readyz", timeout=REPLY_S).ok, "it is ready")
        server.send(DEVICE, status())
        assert client.wait(1)[0][1] == "status"
