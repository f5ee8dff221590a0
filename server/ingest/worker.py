"""Ingest: takes what devices publish, stores it, and only then acknowledges it to the broker and to the device.

One thread talks with the broker, two with the store. A store that is away delays acknowledgements and loses nothing:
what is not acknowledged, broker and device send again.
"""

import gc
import logging
import threading
import time
from concurrent.futures import Future
from typing import NamedTuple

from broker import messages, topics
from broker.messages import Generation, Record
from common.backoff import Backoff
from common.outage import Outage
from server.errors import StoreAwayError
from server.ingest.command_sender import CommandSender
from server.ingest.confirmations import Confirmations
from server.ingest.connection import Connection
from server.ingest.delivery import Delivery
from server.ingest.intake import Intake
from server.ingest.store_writer import Result, StoreWriter
from server.ingest.sweeper import Sweeper
from server.settings import ServerSettings
from server.store.command_queue import DueCommand
from server.store.redis_store import RedisStore
from server.store.types import Clock, IngestState, Outcome

log = logging.getLogger(__name__)

_IDLE_S = 0.2
"""How long to wait for a message before looking after other things."""
_GATHER_S = 0.01
"""How long the first message of a batch waits for others; each batch is synchronised to disk once."""
_ENOUGH_RECORDS = 250
"""So many are written without waiting for others."""
_GC_THRESHOLD = 5_000
"""Allocations between garbage collections (default 700)."""
_UPKEEP_INTERVAL_S = 0.5
_HEARTBEAT_INTERVAL_S = 5.0
_HEARTBEAT_LIFETIME_S = 15
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 10.0
_CLOCK_IS_SET_MS = 1_735_689_600_000
"""2025; a store whose clock says less has not yet been told the time and would refuse all readings as future ones."""


class _Upkeep(NamedTuple):
    """What the store's thread does beside writing batches."""

    due: Future[list[DueCommand]]
    taken: list[DueCommand]
    """Commands that it notes as taken by the broker."""
    opens_store: bool


class Ingest:
    """The process between broker and store.

    Raises:
        UnusableError: the broker's URL or the certificate is not usable.
    """

    def __init__(self, store: RedisStore, settings: ServerSettings) -> None:
        self._store = store
        self._command_queue = store.commands
        self._intake = Intake()
        self._connection = Connection(settings, self._intake.receive)
        self._queue = self._intake.queue
        self._clock_watch = self._intake.clock_watch
        self._sweeper = Sweeper(store.retention, self._clock_watch)
        self._writer = StoreWriter(store, self._connection.wake)
        self._confirmations = Confirmations()
        self._command_sender = CommandSender(self._connection)
        self._stopping = threading.Event()
        self._is_store_ready = False
        self._outage = Outage(log)
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._upkeep: _Upkeep | None = None
        self._next_upkeep_s = 0.0
        self._next_heartbeat_s = 0.0
        self._last_state: IngestState | None = None
        self._counted = 0
        """Of the messages and records that could not be read, those that the store's count has."""

    def stop(self) -> None:
        """Let `run` end after the batches at the store; safe in a signal handler."""
        self._stopping.set()
        self._connection.wake()

    def run(self) -> None:
        """Work until stopped.

        Raises:
            UnusableError: the store cannot keep what it confirms.
        """
        # What is there now stays, and messages leave no cycles: to look for some always would cost a quarter of it.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 20, 20)
        try:
            while not self._stopping.is_set() or self._writer or self._upkeep:
                self._connection.turn(_GATHER_S if self._queue and self._can_write() else _IDLE_S)
                self._connection.acknowledge(self._intake.take_left())
                try:
                    self._collect()
                except StoreAwayError as error:
                    self._lose_store(error)
                if not self._stopping.is_set():
                    self._dispatch()
                self._confirm()
        finally:
            self._writer.close()
            self._confirm(now=True)
            self._connection.stop()

    def _dispatch(self) -> None:
        """Give the store's threads what there is to do."""
        now_s = time.monotonic()
        self._intake.looks_ahead = not self._is_store_ready and bool(self._clock_watch.doubt())
        if self._upkeep is None and now_s >= self._next_upkeep_s and (self._is_store_ready or not self._writer):
            taken, opens_store = self._command_sender.taken(), not self._is_store_ready
            due = self._writer.run(self._maintain, taken, opens_store=opens_store)
            self._upkeep = _Upkeep(due, taken, opens_store)
            self._intake.send_late()
        if self._can_write() and self._is_time_to_write(now_s):
            alone = self._queue.statuses > 0
            batch = self._intake.take()
            if doubt := self._clock_watch.doubt():  # by what these very records say of the time
                self._queue.put_back(batch)
                self._lose_store(StoreAwayError(doubt))
            else:
                now_ms = time.time_ns() // 1_000_000
                self._writer.write(batch, Clock(now_ms, self._clock_watch.is_vouched_for()), alone=alone)

    def _can_write(self) -> bool:
        """Return whether the store can take another batch."""
        return self._is_store_ready and self._writer.is_free(for_alone=self._queue.statuses > 0)

    def _is_time_to_write(self, now_s: float) -> bool:
        """Return whether enough has gathered, or news for live events wait and no batch can take them along."""
        if not self._queue:
            return self._writer.has_news and not self._writer
        return self._queue.records >= _ENOUGH_RECORDS or now_s >= self._queue.since_s + _GATHER_S

    def _maintain(self, taken: list[DueCommand], *, opens_store: bool) -> list[DueCommand]:
        """Tell the store what it must know of ingest, and return the commands that are due; runs in a store's thread.

        Args:
            taken: Commands that the broker has taken.
            opens_store: Make the store ready first.

        Raises:
            StoreAwayError: the store does not answer, or not as it should.
            UnusableError: the store cannot keep what it confirms.
        """
        if opens_store:
            self._store.prepare()
        now_ms = self._store.now()
        if now_ms < _CLOCK_IS_SET_MS:
            raise StoreAwayError(f"the store's clock says {now_ms / 1000:.0f} s since 1970, so it is not set yet")
        self._clock_watch.measure(now_ms)
        self._command_queue.note_taken(taken)
        doubt = self._clock_watch.doubt()
        if not self._connection.is_up:
            return []
        state = self._connection.state(doubt)
        if doubt or state != self._last_state or time.monotonic() >= self._next_heartbeat_s:
            malformed = self._intake.dropped - self._counted
            self._store.heartbeat(_HEARTBEAT_LIFETIME_S, malformed, state)
            self._last_state = state
            self._counted += malformed
            self._store.rewrite_after_erasures()
            self._next_heartbeat_s = time.monotonic() + _HEARTBEAT_INTERVAL_S
        self._sweeper.turn(now_ms)
        if doubt:
            raise StoreAwayError(doubt)
        return self._command_queue.due()

    def _collect(self) -> None:
        """Take up what the store's threads have done.

        Raises:
            StoreAwayError: the store did not do it.
            UnusableError: the store cannot keep what it confirms.
        """
        if self._upkeep and self._upkeep.due.done():
            upkeep, self._upkeep = self._upkeep, None
            due = upkeep.due.result()
            self._command_sender.forget(upkeep.taken)
            if upkeep.opens_store:
                self._is_store_ready = True
                self._outage.end("the store is back")
                if not self._queue:  # else the next batch shows whether it takes something
                    self._backoff.reset()
            if self._is_store_ready:
                self._next_upkeep_s = time.monotonic() + _UPKEEP_INTERVAL_S
            if not self._stopping.is_set():
                self._command_sender.send(due)
        try:
            for batch, result in self._writer.results():
                self._settle(batch, result)
        except StoreAwayError:
            self._queue.put_back(self._writer.take_back())
            raise
        if self._is_store_ready:
            self._connection.announce("online")

    def _settle(self, batch: list[Delivery], result: Result) -> None:
        """Acknowledge the messages of which every record has an outcome, and let the others wait again."""
        outcomes = iter(result.outcomes)
        settled: list[Delivery] = []
        unwritten: list[Delivery] = []
        for delivery in batch:
            device, is_complete = delivery.decoded.device, True
            for record in delivery.decoded.records:
                outcome = next(outcomes)
                if outcome is None:
                    is_complete = False
                elif isinstance(record, Record):
                    self._confirmations.add(device, record.boot, record.seq, outcome)
            for identity, reason in delivery.decoded.refused:
                self._confirmations.add(device, identity.boot, identity.seq, Outcome("refused", reason))
            (settled if is_complete else unwritten).append(delivery)
        self._connection.acknowledge(settled)
        for device, number in result.generations.items():
            self._connection.publish(
                topics.topic(device, "generation"), messages.encode(Generation(gen=number)), retain=True
            )
        if unwritten:
            self._queue.put_back(unwritten)
            self._lose_store(StoreAwayError(f"the store could not write {len(unwritten)} of {len(batch)} messages"))
        else:
            self._backoff.reset()

    def _confirm(self, *, now: bool = False) -> None:
        """Tell the devices what became of their records, if it is time."""
        for device, stored in self._confirmations.take(now=now):
            self._connection.publish_once(topics.topic(device, "stored"), messages.encode(stored))

    def _lose_store(self, error: StoreAwayError) -> None:
        """Let the devices wait, and try again in a while."""
        self._is_store_ready = False
        self._next_upkeep_s = time.monotonic() + self._backoff.next_s()
        self._outage.begin("%s; retrying, and nothing is lost meanwhile", error)
        self._connection.announce("offline")
