"""Ingest: takes what devices publish, stores it, and only then acknowledges it to the broker and to the device.

One thread talks with the broker, a second one sends to the store, a third one waits for its answers. While one batch is
written, the next one is already on its way, and another one gathers. A store that is away delays acknowledgements and
loses nothing: what is not acknowledged, broker and device send again.
"""

import gc
import logging
import random
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import paho.mqtt.client as mqtt

from broker import messages, topics
from broker.messages import Generation, Record, WireError
from server.errors import StoreAwayError
from server.ingest.batch_queue import Queue, Waiting
from server.ingest.confirmations import Answers
from server.ingest.connection import Arrived, Link
from server.ingest.decode import Taken, take
from server.settings import ServerSettings
from server.store.command_queue import DueCommand
from server.store.redis_store import RedisStore
from server.store.types import DeviceMessage, Job, Outcome, PendingWrite

log = logging.getLogger(__name__)

_IDLE_S = 0.2
"""How long to wait for a message before looking after other things."""
_GATHER_S = 0.01
"""How long the first message of a batch waits for others; each batch is synchronised to disk once."""
_ENOUGH_RECORDS = 250
"""So many are written without waiting for others."""
_MOST_VISITS = 3
"""Batches at the store at a time: one is written, one is ready for it, one waits for the disk."""
_MOST_WAITING = 10_000
_OBJECTS_BETWEEN_LOOKS = 5_000
"""Of Python's collector of garbage; 700 is its own number."""
_CONFIRM_EVERY_S = 0.5
"""A device can wait so long for `stored`, and hears of several records at once; the first after a pause go at once."""
_BEAT_EVERY_S = 5.0
_BEAT_LIVES_S = 15
_JOBS_EVERY_S = 0.5
_JOB_TAKES_S = 10.0
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 10.0
_CLOCK_IS_SET_MS = 1_735_689_600_000
"""2025; a store whose clock says less has not yet been told the time and would refuse all readings as future ones."""


class _Done(NamedTuple):
    """What one visit to the store brought; all of it is on disk."""

    outcomes: list[Outcome | None]
    generations: dict[str, int]
    """Of devices that still send records of an erased one."""
    jobs: list[Job | DueCommand]


class _Sent(NamedTuple):
    """What was sent to the store."""

    records: list[tuple[str, DeviceMessage]]
    """With the devices that they are from."""
    outcomes: PendingWrite


class _Visit(NamedTuple):
    """A batch at the store."""

    batch: list[Waiting]
    alone: bool
    """It has statuses, so no other may be written at the same time."""
    finished: list[Job | DueCommand]
    """What the store is told to forget."""
    sent: "Future[_Sent]"
    done: "Future[_Done]"


@dataclass(frozen=True)
class _Told:
    """A job whose messages are on their way."""

    job: Job | DueCommand
    messages: list[mqtt.MQTTMessageInfo]
    deadline_s: float


class Ingest:
    """The process between broker and store.

    Raises:
        UnusableError: the broker's URL or the certificate is not usable.
    """

    def __init__(self, store: RedisStore, settings: ServerSettings) -> None:
        self._store = store
        self._live_stream, self._commands = store.live_stream, store.commands
        self._link = Link(settings, self._arrive)
        self._stopping = threading.Event()
        self._visits: deque[_Visit] = deque()
        self._waiting = Queue()
        self._answers = Answers()
        self._next_confirm_s = 0.0
        self._told: dict[str, _Told] = {}
        self._store_is_there = False
        self._said_lost = False
        self._failures = 0
        self._dropped = 0
        """Messages and records that could not be read; the store's count has `_counted` of them."""
        self._counted = 0
        self._next_try_s = 0.0
        self._next_beat_s = 0.0
        self._next_jobs_s = 0.0

    def stop(self) -> None:
        """Let `run` end after the batch at hand; safe in a signal handler."""
        self._stopping.set()
        self._link.wake()

    def run(self) -> None:
        """Work until stopped.

        Raises:
            UnusableError: the store cannot keep what it confirms.
        """
        # What is there now stays, and messages leave no cycles: to look for some always would cost a quarter of it.
        gc.freeze()
        gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, 20, 20)
        with ThreadPoolExecutor(1, "send") as sender, ThreadPoolExecutor(1, "receive") as receiver:
            try:
                while not self._stopping.is_set() or self._visits:
                    self._link.turn(self._patience_s())
                    self._come_back()
                    if not self._stopping.is_set() and self._is_free() and self._is_time():
                        self._visits.append(self._visit(sender, receiver))
                    self._confirm()
            finally:
                self._confirm(now=True)
                self._link.stop()

    def _visit(self, sender: ThreadPoolExecutor, receiver: ThreadPoolExecutor) -> _Visit:
        """Let the other threads take to the store what waits."""
        alone = self._waiting.statuses > 0
        batch, finished = self._waiting.take(), self._finished_jobs()
        sent = sender.submit(self._send, batch)
        done = receiver.submit(self._receive, sent, finished)
        for future in (sent, done):
            future.add_done_callback(lambda _: self._link.wake())
        return _Visit(batch, alone, finished, sent, done)

    def _patience_s(self) -> float:
        """Return how long there is nothing to do unless something comes."""
        return _GATHER_S if self._waiting and self._is_free() else _IDLE_S

    def _is_free(self) -> bool:
        """Return whether the store can take another batch: few are there, none failed, no status could be overtaken."""
        if not self._visits:
            return True
        last = self._visits[-1]
        if len(self._visits) == _MOST_VISITS or not last.sent.done() or last.alone or self._waiting.statuses:
            return False
        futures = [future for visit in self._visits for future in (visit.sent, visit.done)]
        return not any(future.done() and future.exception() for future in futures)

    def _is_time(self) -> bool:
        """Return whether to visit the store now."""
        now_s = time.monotonic()
        if now_s < self._next_try_s:
            return False
        due = (
            not self._store_is_there
            or min(self._next_beat_s, self._next_jobs_s) <= now_s
            or self._live_stream.has_pending
        )
        gathered = self._waiting.records >= _ENOUGH_RECORDS or now_s >= self._waiting.since_s + _GATHER_S
        return (due and not self._visits) or (gathered and len(self._waiting) > 0)

    def _send(self, batch: list[Waiting]) -> _Sent:
        """Send a batch to the store; runs in the sender's thread.

        Raises:
            StoreAwayError: it could not be done.
            UnusableError: the store cannot keep what it confirms.
        """
        if not self._store_is_there:
            self._find_store()
        records = [(waiting.taken.device, record) for waiting in batch for record in waiting.taken.records]
        return _Sent(records, self._store.send(records, self._live_stream.commands()) if records else list)

    def _receive(self, sent: "Future[_Sent]", finished: list[Job | DueCommand]) -> _Done:
        """Wait until a batch is on disk, and do what else there is to do at the store; runs in the receiver's thread.

        Raises:
            StoreAwayError: it could not be done.
            UnusableError: the store cannot keep what it confirms.
        """
        records, written = sent.result()
        outcomes = written()
        if not records:
            self._live_stream.flush()
        self._live_stream.add(
            pair for pair, outcome in zip(records, outcomes, strict=True) if outcome and outcome.kind == "stored"
        )
        erased = {
            device
            for (device, _), outcome in zip(records, outcomes, strict=True)
            if outcome is not None and outcome.kind == "erased"
        }
        generations = {device: self._store.generation(device) for device in erased}
        for job in finished:
            if isinstance(job, DueCommand):
                self._commands.note_sent(job)
            else:
                self._store.finish(job)
        now_s = time.monotonic()
        jobs: list[Job | DueCommand] = []
        if self._link.is_up and now_s >= self._next_beat_s:
            malformed = self._dropped - self._counted
            self._store.heartbeat(_BEAT_LIVES_S, malformed)
            self._counted += malformed
            self._next_beat_s = now_s + _BEAT_EVERY_S
        if now_s >= self._next_jobs_s:
            jobs = [*self._store.jobs(), *self._commands.due()] if self._link.is_up else []
            self._next_jobs_s = now_s + _JOBS_EVERY_S
        return _Done(outcomes, generations, jobs)

    def _come_back(self) -> None:
        """Acknowledge what is on disk, or let all wait for another try."""
        while self._visits and self._visits[0].done.done():
            try:
                done = self._visits[0].done.result()
            except StoreAwayError as error:
                if all(visit.done.done() for visit in self._visits):
                    # Those behind it go again too, whatever came of them: a status must not overtake another one.
                    self._waiting.put_back([waiting for visit in self._visits for waiting in visit.batch])
                    self._visits.clear()
                    self._lose_store(error)
                return
            visit = self._visits.popleft()
            self._failures = 0
            self._link.announce("online")
            self._settle(visit.batch, done)
            forgotten = {job.id for later in self._visits for job in later.finished}
            for job in done.jobs:
                if job.id not in self._told and job.id not in forgotten:
                    sent = self._pass_on(job) if isinstance(job, DueCommand) else self._tell(job)
                    self._told[job.id] = _Told(job, sent, time.monotonic() + _JOB_TAKES_S)

    def _arrive(self, arrived: Arrived) -> None:
        """Let a message wait for the store."""
        if arrived.qos == 0 and len(self._waiting) >= _MOST_WAITING:
            return  # of the others the broker sends only so many; these would pile up while the store is away
        self._waiting.add(Waiting(arrived, self._take(arrived)))

    def _take(self, arrived: Arrived) -> Taken:
        """Return what a message carries; say what of it is dropped."""
        try:
            taken = take(arrived.topic, arrived.payload)
        except WireError as error:
            taken = Taken("", nameless=[str(error)])
        if not taken.nameless and not taken.refused:
            return taken
        for reason in [*taken.nameless, *(f"{reason} (refused)" for _, reason in taken.refused)]:
            self._dropped += 1
            log.warning("dropped number %d on %s: %s", self._dropped, arrived.topic, reason)
        return taken

    def _settle(self, batch: list[Waiting], done: _Done) -> None:
        """Acknowledge the messages of which every record got an answer, and keep the others."""
        outcomes = iter(done.outcomes)
        settled: list[Arrived] = []
        kept: list[Waiting] = []
        for waiting in batch:
            device, complete = waiting.taken.device, True
            for record in waiting.taken.records:
                outcome = next(outcomes)
                if outcome is None:
                    complete = False
                elif isinstance(record, Record):
                    self._answers.add(device, record.boot, record.seq, outcome)
            for identity, reason in waiting.taken.refused:
                self._answers.add(device, identity.boot, identity.seq, Outcome("refused", reason))
            if complete:
                settled.append(waiting.arrived)
            else:
                kept.append(waiting)
        self._link.acknowledge(settled)
        for device, number in done.generations.items():
            generation = messages.encode(Generation(gen=number))
            self._link.publish(topics.topic(device, "generation"), generation, retain=True)
        if kept:
            self._waiting.put_back(kept)
            count = len(kept) + len(settled)
            self._lose_store(StoreAwayError(f"the store could not write {len(kept)} of {count} messages"))

    def _confirm(self, *, now: bool = False) -> None:
        """Tell the devices what became of their records, if it is time."""
        if self._answers and (now or time.monotonic() >= self._next_confirm_s):
            for device, stored in self._answers.messages():
                self._link.tell(topics.topic(device, "stored"), messages.encode(stored))
            self._answers = Answers()
            self._next_confirm_s = time.monotonic() + _CONFIRM_EVERY_S

    def _find_store(self) -> None:
        """Make the store ready, or raise that it is not there."""
        self._store.prepare()
        now = self._store.now()
        if now < _CLOCK_IS_SET_MS:
            raise StoreAwayError(f"the store's clock says {now / 1000:.0f} s since 1970, so it is not set yet")
        self._store_is_there = True
        log.info("the store is %s", "back" if self._said_lost else "there")
        self._said_lost = False

    def _lose_store(self, error: StoreAwayError) -> None:
        """Say once that the store is away, let the devices wait, and try again in a while."""
        self._store_is_there = False
        self._link.announce("offline")
        if not self._said_lost:
            log.warning("%s; trying again until it does, and nothing is lost meanwhile", error)
            self._said_lost = True
        longest_s = min(_FIRST_RETRY_S * 2**self._failures, _LONGEST_RETRY_S)
        self._failures = min(self._failures + 1, 10)
        wait_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads tries, protects nothing
        self._next_try_s = time.monotonic() + wait_s

    def _pass_on(self, order: DueCommand) -> list[mqtt.MQTTMessageInfo]:
        """Publish what an operator asks of a device."""
        return [self._link.publish(topics.command(order.device, order.name), order.payload)]

    def _tell(self, job: Job) -> list[mqtt.MQTTMessageInfo]:
        """Tell a device that its data was erased, and forget what the broker keeps of it.

        The status goes last: a live device that sees it cleared says everything again, and must not be overtaken.
        """
        generation = messages.encode(Generation(gen=job.generation))
        return [
            self._link.publish(topics.topic(job.device, "generation"), generation, retain=True),
            self._link.publish(topics.home_assistant(job.device), b"", retain=True),
            self._link.publish(topics.topic(job.device, "state"), b"", retain=True),
            self._link.publish(topics.topic(job.device, "health"), b"", retain=True),
            self._link.publish(topics.topic(job.device, "status"), b"", retain=True),
        ]

    def _finished_jobs(self) -> list[Job | DueCommand]:
        """Return the jobs whose messages the broker has; forget those that take too long, so that they come again."""
        told, self._told = self._told, {}
        finished = []
        for one in told.values():
            if all(_is_published(info) for info in one.messages):
                finished.append(one.job)
                device, job = topics.mac_address(one.job.device), one.job
                what = job.name if isinstance(job, DueCommand) else f"go on with generation {job.generation}"
                log.info("told %s to %s", device, what)
            elif time.monotonic() < one.deadline_s:
                self._told[one.job.id] = one
        return finished


def _is_published(info: mqtt.MQTTMessageInfo) -> bool:
    """Return whether the broker has acknowledged a message."""
    try:
        return info.is_published()
    except (ValueError, RuntimeError):  # paho's way to say that it was not connected; the job stays for later
        return False
