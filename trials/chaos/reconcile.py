"""Reconciles each record that a device made with what it was told and with what is stored."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from device.delivery.row import Kind
from device.system.clock import now_ms
from server.store import rollups
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from trials.chaos.device_process import UNIT, heard_mark, is_check
from trials.chaos.fleet import Device, Run

_AHEAD_MS = 400 * DAY_MS
_SAME_MS = 2
"""Two clocks that are read in whole milliseconds differ by so much."""
_EXAMPLES = 3

Record = tuple[str, int]
"""Boot and sequence number."""


@dataclass
class Count:
    """What became of the records of some devices."""

    produced: int = 0
    """Records that an outbox has taken."""
    confirmed: int = 0
    """Records of which the device was told that they are on disk."""
    stored: int = 0
    given_up: Counter[str] = field(default_factory=Counter)
    """Records that are not stored, for a cause that the fault gives, by cause."""
    lost: int = 0
    """Records that are not stored without such a cause; all that were confirmed are among them."""
    doubled: int = 0
    out_of_order: int = 0
    """Readings that are stored with an earlier date than one that their process made before them."""
    recovered_s: float = 0.0
    """From the end of the last fault until the last record from before it was confirmed."""
    at_stake: int = 0
    """Most unconfirmed records at a time."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it should be, a sentence each."""

    @property
    def is_right(self) -> bool:
        """Return whether nothing is lost, doubled or otherwise wrong."""
        return not (self.lost or self.doubled or self.wrong)

    def add(self, other: "Count") -> None:
        """Add the records of other devices."""
        self.produced += other.produced
        self.confirmed += other.confirmed
        self.stored += other.stored
        self.given_up += other.given_up
        self.lost += other.lost
        self.doubled += other.doubled
        self.out_of_order += other.out_of_order
        self.recovered_s = max(self.recovered_s, other.recovered_s)
        self.at_stake += other.at_stake
        self.wrong += other.wrong


def reconcile(kept: RedisStore, devices: Sequence[Device], faults_over_s: float) -> Count:
    """Return what became of all records.

    Args:
        kept: The store.
        devices: All that ran, with their runs ended.
        faults_over_s: When the last fault was over, on the monotonic clock.
    """
    total = Count()
    by_name: dict[str, list[Device]] = defaultdict(list)
    for device in devices:
        by_name[device.name].append(device)
    for of_name in by_name.values():
        total.add(_Ledger(kept, of_name).count(faults_over_s))
    return total


class _Ledger:
    """The records of one device id; a cloned card may have run under it beside the device."""

    def __init__(self, kept: RedisStore, devices: Sequence[Device]) -> None:
        self._kept = kept
        self._name = devices[0].name
        self._check = devices[0].check
        self._expects = set().union(*(device.expects for device in devices))
        self._runs = [run for device in devices for run in device.runs]
        self._told: dict[Record, dict[str, float]] = defaultdict(dict)
        """When each outcome of a record was told first."""
        for run in self._runs:
            for at_s, boot, outcome, ranges in run.told:
                for first, last in ranges:
                    for seq in range(first, last + 1):
                        self._told[boot, seq].setdefault(outcome, at_s)
        self._count = Count()

    def count(self, faults_over_s: float) -> Count:
        """Return what became of them."""
        generation = self._kept.generation(self._name)
        stored, heard = self._stored_readings(), self._stored_heard()
        missing: dict[str, list[str]] = defaultdict(list)
        for run in self._runs:
            latest = -1
            for seq, made in sorted(run.made.items()):
                told = self._told.get((run.boot, seq), {})
                times = (stored if made.kind == "reading" else heard).get(made.number, [])
                if not (seq in run.kept or told or times):
                    continue  # killed before the outbox had it
                fate = self._fate(run, seq, times, generation)
                if fate == "lost":
                    kind = "confirmed" if "stored" in told else "unconfirmed"
                    missing[kind].append(f"{seq} of boot {run.boot} ({', '.join(told) or 'not a word'})")
                elif fate == "stored" and made.kind == "reading":
                    self._count.out_of_order += times[0] < latest - _SAME_MS
                    latest = max(latest, times[0])
        for kind, records in missing.items():
            some = ", ".join(records[:_EXAMPLES])
            self._count.wrong.append(f"{len(records)} {kind} records of {self._name} are not stored: {some} …")
        self._compare_counters(sum(map(len, stored.values())), sum(map(len, heard.values())))
        self._measure(faults_over_s)
        return self._count

    def _fate(self, run: Run, seq: int, times: Sequence[int], generation: int) -> str:
        """Count one record, and return what became of it."""
        count, told = self._count, self._told.get((run.boot, seq), {})
        count.produced += 1
        count.confirmed += "stored" in told
        if run.made[seq].generation < generation:
            count.given_up["erased"] += 1
            if times:
                count.wrong.append(f"record {seq} of boot {run.boot} of {self._name} is stored although it was erased")
            return "erased"
        if times:
            count.stored += 1
            count.doubled += len(times) - 1
            return "stored"
        cause = None if "stored" in told else self._cause(run, seq, told)
        if cause:
            count.given_up[cause] += 1
            return "given up"
        count.lost += 1
        return "lost"

    def _cause(self, run: Run, seq: int, told: dict[str, float]) -> str | None:
        """Return why a record may be missing; None if there is no cause."""
        return next((outcome for outcome in told if outcome in self._expects), None) or run.forfeit.get(seq)

    def _stored_readings(self) -> dict[int, list[int]]:
        """Return the times of each stored reading by its number."""
        found: dict[int, list[int]] = defaultdict(list)
        known = self._numbers("reading")
        strangers = 0
        for table in self._kept.readings(self._name, 0, now_ms() + _AHEAD_MS):
            units = (table.scores[:, :3] * UNIT).round().astype(int)
            for (high, low, check), at in zip(units.tolist(), table.at.tolist(), strict=True):
                number = high * UNIT + low
                if check != self._check or number not in known:
                    strangers += 1
                found[number].append(at)
        self._tell_strangers(strangers, "readings")
        return found

    def _stored_heard(self) -> dict[int, list[int]]:
        """Return the times of each stored `heard` record by its number."""
        found: dict[int, list[int]] = defaultdict(list)
        known = self._numbers("heard")
        strangers = 0
        spans = self._kept.heard(self._name, 0, now_ms() + _AHEAD_MS)
        for dropped, clipping, at in zip(
            spans.dropped.tolist(), spans.clipping.tolist(), spans.end.tolist(), strict=True
        ):
            number, check = heard_mark(dropped, clipping)
            strangers += number not in known or not is_check(check, self._check)
            found[number].append(at)
        self._tell_strangers(strangers, "heard records")
        return found

    def _numbers(self, kind: Kind) -> set[int]:
        """Return the numbers of all records of a kind that were made."""
        return {made.number for run in self._runs for made in run.made.values() if made.kind == kind}

    def _tell_strangers(self, count: int, what: str) -> None:
        if count:
            self._count.wrong.append(f"{count} {what} are stored of {self._name} that it did not make")

    def _compare_counters(self, readings: int, heard: int) -> None:
        """Compare what is stored with the store's own counters: a repeat that was counted shows there."""
        device = self._kept.device(self._name)
        days = self._kept.rollups(self._name, rollups.DAY, 0, now_ms() + _AHEAD_MS)
        counters = {
            "the device's counter": (device.readings if device else 0, readings),
            "the rollups of its days": (sum(int(table.count.sum()) for table in days), readings),
            "its boots": (sum(boot.records for boot in self._kept.boots(self._name)), readings + heard),
        }
        for what, (said, stored) in counters.items():
            if said != stored:
                self._count.doubled += max(0, said - stored)
                self._count.wrong.append(f"{what} says {said} of {self._name}, and {stored} are stored")

    def _measure(self, faults_over_s: float) -> None:
        """Measure how long it took until all from before the end of the faults was told, and how much waited."""
        changes: list[tuple[float, int]] = []
        for record, made_s in self._made():
            told = self._told.get(record)
            if told:
                told_s = min(told.values())
                changes += [(made_s, 1), (told_s, -1)]
                if made_s <= faults_over_s:
                    self._count.recovered_s = max(self._count.recovered_s, told_s - faults_over_s)
        waiting = 0
        for _, change in sorted(changes):
            waiting += change
            self._count.at_stake = max(self._count.at_stake, waiting)

    def _made(self) -> Iterator[tuple[Record, float]]:
        for run in self._runs:
            for seq, made in run.made.items():
                yield (run.boot, seq), made.at_s
