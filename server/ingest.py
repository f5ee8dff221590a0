"""Ingest: takes what devices publish, stores it, and only then acknowledges it to the broker and to the device.

The callback of the network thread only enqueues. The thread that runs `Ingest.run` writes to the store, so a store
that is away delays acknowledgements and loses nothing: what is not acknowledged, broker and device send again.
"""

import logging
import queue
import random
import threading
import time
from dataclasses import dataclass

import paho.mqtt.client as mqtt

from broker import messages, topics
from broker.messages import Generation, Record, WireError
from server.answers import Answers
from server.intake import Taken, take
from server.link import Arrived, Link
from server.problems import StoreAwayError
from server.settings import ServerSettings
from server.store import Job, Outcome, Store

log = logging.getLogger(__name__)

_IDLE_S = 0.2
"""How long to wait for a message before looking after other things."""
_BATCH_RECORDS = 1000
_BEAT_EVERY_S = 5.0
_BEAT_LIVES_S = 15
_JOBS_EVERY_S = 0.5
_PUBLISHED_S = 5.0
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 10.0
_CLOCK_IS_SET_MS = 1_735_689_600_000
"""2025; a store whose clock says less has not yet been told the time and would refuse all readings as future ones."""


@dataclass(frozen=True)
class _Waiting:
    """A message that has arrived and is not acknowledged."""

    arrived: Arrived
    taken: Taken


class Ingest:
    """The process between broker and store.

    Raises:
        UnusableError: the broker's URL or the certificate is not usable.
    """

    def __init__(self, store: Store, settings: ServerSettings) -> None:
        self._store = store
        self._arrivals: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self._link = Link(settings, self._arrivals.put)
        self._stopping = threading.Event()
        self._waiting: list[_Waiting] = []
        self._store_is_there = False
        self._said_lost = False
        self._failures = 0
        self._dropped = 0
        self._next_beat_s = 0.0
        self._next_jobs_s = 0.0

    def stop(self) -> None:
        """Let `run` end after the batch at hand; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped.

        Raises:
            UnusableError: the store cannot keep what it confirms.
        """
        self._link.start()
        try:
            while not self._stopping.is_set():
                self._collect()
                try:
                    self._work()
                except StoreAwayError as error:
                    self._lose_store(error)
        finally:
            self._link.stop()

    def _work(self) -> None:
        """Do what there is to do while the store is there."""
        if not self._store_is_there:
            self._find_store()
        self._link.announce("online")
        if self._waiting:
            self._write()
        now_s = time.monotonic()
        if self._link.is_up and now_s >= self._next_beat_s:
            self._store.beat(_BEAT_LIVES_S)
            self._next_beat_s = now_s + _BEAT_EVERY_S
        if self._link.is_up and now_s >= self._next_jobs_s:
            for job in self._store.jobs():
                self._carry_out(job)
            self._next_jobs_s = now_s + _JOBS_EVERY_S
        self._failures = 0

    def _collect(self) -> None:
        """Wait a little for messages and take as many as one batch shall have."""
        records = sum(len(waiting.taken.records) for waiting in self._waiting)
        timeout_s = 0.0 if self._waiting else _IDLE_S
        while records < _BATCH_RECORDS:
            try:
                arrived = self._arrivals.get(timeout=timeout_s) if timeout_s else self._arrivals.get_nowait()
            except queue.Empty:
                return
            timeout_s = 0.0
            taken = self._take(arrived)
            self._waiting.append(_Waiting(arrived, taken))
            records += len(taken.records)

    def _take(self, arrived: Arrived) -> Taken:
        """Return what a message carries; say what of it is dropped."""
        try:
            taken = take(arrived.topic, arrived.payload)
        except WireError as error:
            taken = Taken("", nameless=[str(error)])
        for reason in [*taken.nameless, *(f"{reason} (refused)" for _, reason in taken.refused)]:
            self._dropped += 1
            log.warning("dropped number %d on %s: %s", self._dropped, arrived.topic, reason)
        return taken

    def _write(self) -> None:
        """Write the waiting messages; acknowledge those of which every record got an answer, and keep the others."""
        batch = [(waiting.taken.device, record) for waiting in self._waiting for record in waiting.taken.records]
        outcomes = iter(self._store.write(batch) if batch else [])
        answers = Answers()
        settled: list[_Waiting] = []
        kept: list[_Waiting] = []
        for waiting in self._waiting:
            device, results = waiting.taken.device, [next(outcomes) for _ in waiting.taken.records]
            for record, outcome in zip(waiting.taken.records, results, strict=True):
                if outcome is not None and isinstance(record, Record):
                    answers.add(device, record.boot, record.seq, outcome)
            for identity, reason in waiting.taken.refused:
                answers.add(device, identity.boot, identity.seq, Outcome("refused", reason))
            (kept if None in results else settled).append(waiting)
        self._waiting = kept
        for device, stored in answers.messages():
            self._link.publish(topics.topic(device, "stored"), messages.encode(stored))
        for waiting in settled:
            self._link.acknowledge(waiting.arrived)
        for device in answers.erased():
            generation = messages.encode(Generation(gen=self._store.generation(device)))
            self._link.publish(topics.topic(device, "generation"), generation, retain=True)
        if kept:
            raise StoreAwayError(f"the store could not write {len(kept)} of {len(kept) + len(settled)} messages")

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
        """Say once that the store is away, let the devices wait, and wait a little."""
        self._store_is_there = False
        self._link.announce("offline")
        if not self._said_lost:
            log.warning("%s; trying again until it does, and nothing is lost meanwhile", error)
            self._said_lost = True
        longest_s = min(_FIRST_RETRY_S * 2**self._failures, _LONGEST_RETRY_S)
        self._failures = min(self._failures + 1, 10)
        self._stopping.wait(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads tries, protects nothing

    def _carry_out(self, job: Job) -> None:
        """Tell a device that its data was erased, and forget what the broker keeps of it.

        The status goes last: a live device that sees it cleared says everything again, and must not be overtaken.
        """
        generation = messages.encode(Generation(gen=job.generation))
        sent = [
            self._link.publish(topics.topic(job.device, "generation"), generation, retain=True),
            self._link.publish(topics.home_assistant(job.device), b"", retain=True),
            self._link.publish(topics.topic(job.device, "state"), b"", retain=True),
            self._link.publish(topics.topic(job.device, "health"), b"", retain=True),
            self._link.publish(topics.topic(job.device, "status"), b"", retain=True),
        ]
        if all(_is_published(info) for info in sent):
            self._store.finish(job)
            log.info("told %s to go on with generation %d", topics.mac_address(job.device), job.generation)


def _is_published(info: mqtt.MQTTMessageInfo) -> bool:
    """Return whether the broker has acknowledged a message, after waiting a little for that."""
    try:
        info.wait_for_publish(_PUBLISHED_S)
        return info.is_published()
    except (ValueError, RuntimeError):  # paho's way to say that it was not connected; the job stays for later
        return False
