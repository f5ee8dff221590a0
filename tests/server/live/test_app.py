"""Listeners hear what happens, miss and repeat nothing when they come again, and do not get in each other's way."""

import socket
import time
from pathlib import Path

import pytest
import requests
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, free_port, running_broker
from clients import VIEWER
from hypothesis import given
from hypothesis import strategies as st
from listening import ALL, ONE, Listening, Server, listening
from records import reading, status
from rooms import Rest, Room
from services import RunningStore, wait_until

from broker import topics
from broker.messages import encode
from server.live import broadcast
from server.store import live_stream
from server.store.live_stream import Position

MAC = topics.mac_address(DEVICE)


def test_events_arrive_at_those_who_listen_to_that_device(server: Server) -> None:
    """Readings and statuses come in order in small form, to listeners of all devices and of that one only."""
    server.send(DEVICE, status())
    server.send(OTHER_DEVICE, status())
    with listening(server, ALL) as everything, listening(server, ONE) as one:
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


def test_who_comes_again_misses_and_repeats_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any event on, also in the middle of a batch, exactly the later ones come, while others still arrive."""
    monkeypatch.setattr(broadcast, "_ENTRIES_PER_POLL", 2)
    now = server.store.now()
    server.send(DEVICE, status(), *(reading(seq, now + seq) for seq in range(5)))
    server.readings(5, 6)
    with listening(server, ONE, last_event_id="1-0.0") as first:
        every = first.wait(13)
    assert [kind for _, kind, _ in every] == ["missed", "status"] + ["reading"] * 11
    for index in (1, 4, 7, 12):
        with listening(server, ONE, last_event_id=every[index][0]) as again:
            server.readings(100 + index, 1)
            found = again.wait(len(every) - index)
        assert found[: len(every) - index - 1] == every[index + 1 :]
        every = every[: index + 1] + found
    ids = [live_stream.parse(event[0]) for event in every[1:]]
    assert ids == sorted(set(ids))


def test_who_was_away_too_long_is_told(server: Server) -> None:
    """If events behind the last one that was seen are gone, `missed` comes first; nothing of an erased device does."""
    server.send(DEVICE, status())
    server.readings(0, 2)
    with listening(server, ONE, last_event_id="1-0.0") as client:
        (_, _, _), _, seen, _ = client.wait(4)
    server.store.erase(DEVICE)
    server.send(DEVICE, reading(9, server.store.now(), gen=1))
    with listening(server, ONE, last_event_id=seen[0]) as client:
        missed, only = client.wait(2)
    assert missed == ("", "missed", {"after": seen[0]})
    assert only[1] == "reading"
    assert 0 < server.store.execute("PTTL", "mw:live") <= live_stream.KEPT_MS


def test_only_news_is_told_and_only_for_a_while(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings that come late are no news, and what is kept is bounded by time."""
    now = server.store.now()
    server.send(DEVICE, reading(0, now))
    server.send(DEVICE, reading(1, now - 70_000), reading(2, now - 50_000))
    events, _ = server.live_stream.after(Position(0, 0, 0), 10)
    assert [event.facts["at"] for event in events] == [now, now - 50_000]
    monkeypatch.setattr(live_stream, "KEPT_MS", 0)
    for seq in range(500):
        server.live_stream.add([(DEVICE, reading(seq, now + seq))])
        server.live_stream.flush()
    assert server.store.execute("XLEN", "mw:live") < 250


def test_a_listener_hears_that_the_line_is_there_and_loses_it_with_its_token(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without events there are heartbeats; when the token is revoked the stream ends."""
    monkeypatch.setattr(broadcast, "_HEARTBEAT_S", 0.1)
    with listening(server, ALL) as client:
        wait_until(lambda: client.text.count(": still here\n\n") >= 2, "two heartbeats came")
        monkeypatch.setattr(server.guard, "_given", [])
        wait_until(lambda: client.ended, "the stream ends")


def test_who_reads_nothing_keeps_nobody_waiting(server: Server) -> None:
    """A reader that is stuck is let go of once a megabyte waits for it; another one hears everything meanwhile."""
    server.send(DEVICE, status())
    stuck = socket.create_connection(server.url.removeprefix("http://").split(":"))  # type: ignore[arg-type]
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(f"GET {ALL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {VIEWER}\r\n\r\n".encode())
    wait_until(lambda: server.subscribers() == 1, "the stuck one listens")
    assert server.broadcast.subscribers is not None
    (waiting,) = server.broadcast.subscribers._by_device[None]
    with listening(server, ALL) as client:
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


@pytest.mark.parametrize(
    ("path", "headers", "status_code", "sentence"),
    [
        (ALL, {"Authorization": "Bearer wrong"}, 401, "not one of this server"),
        (ALL, {"Authorization": ""}, 401, "has no token"),
        (ALL, {"Last-Event-ID": "yesterday"}, 400, "'yesterday' is no id of an event"),
        ("/api/v1/devices/020202020202/live", {}, 404, "there is no device 02:02:02:02:02:02"),
        ("/api/v1/devices/kitchen/live", {}, 400, "is not a MAC address"),
        ("/api/v1/devices", {}, 404, "the REST API serves the rest"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    server: Server, path: str, headers: dict[str, str], status_code: int, sentence: str
) -> None:
    """Problems are the same as those of REST."""
    answer = server.get(path, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status_code, "application/problem+json")
    assert sentence in answer.json()["detail"]
    assert ("WWW-Authenticate" in answer.headers) == (status_code == 401)


def test_the_store_may_go_and_come_back(server: Server, redis_store: RunningStore) -> None:
    """While it is away the process lives and is not ready, and listeners stay; then they hear what comes."""
    with listening(server, ALL) as client:
        redis_store.kill()
        wait_until(lambda: requests.get(f"{server.url}/readyz", timeout=20).status_code == 503, "it is not ready")
        assert requests.get(f"{server.url}/livez", timeout=10).ok
        redis_store.start()
        wait_until(lambda: requests.get(f"{server.url}/readyz", timeout=20).ok, "it is ready")
        server.send(DEVICE, status())
        assert client.wait(1)[0][1] == "status"


def test_ingest_tells_listeners(redis_store: RunningStore, tmp_path: Path) -> None:
    """What a device publishes is heard, once even if it comes twice, through processes as they are really run."""
    port = free_port()
    with running_broker(tmp_path / "broker") as broker:
        services = {"redis_url": redis_store.url, "mqtt_url": broker.url}
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        with (
            Room(tmp_path, "server", "ingest", **services, **login) as ingest,
            Room(tmp_path, "server", "live", **services, viewer_token=VIEWER, live_port=port) as process,
            broker.client(DEVICE) as device,
        ):
            ingest.says("the server is online")
            wait_until(Rest(port).ready, "live events are served")
            client = Listening(f"http://127.0.0.1:{port}{ALL}")
            now = time.time_ns() // 1_000_000
            device.publish(topics.topic(DEVICE, "status"), encode(status()), qos=1)
            for seq in (0, 0, 1):
                device.publish(topics.topic(DEVICE, "reading"), encode(reading(seq, now + seq)), qos=1)
            events = client.wait(3)
            assert process.stop() == 0
            wait_until(lambda: client.ended, "the stream ends when the process does")
            client.close()
    assert [told.get("at", told["state"]) for _, _, told in events] == ["online", now, now + 1]
    assert "Traceback" not in process.log


@given(st.text(max_size=30))
def test_no_id_is_a_failure(text: str) -> None:
    """What is no id is refused with ValueError; what is one is written back as it was."""
    try:
        place = live_stream.parse(text)
    except ValueError:
        return
    assert live_stream.parse(str(place)) == place
