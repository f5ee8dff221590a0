"""What must be true of a backup before anything of it is written, beside the bounds of each value.

A backup may be damaged, or made to deceive. What passes can be written as a whole: it names only devices that there can
be, and gives none more than it could have sent by itself.
"""

from collections.abc import Callable, Iterable

from server.ops.backup_format import (
    AnyLine,
    BootLine,
    DeviceLine,
    End,
    EventsLine,
    Head,
    HeardLine,
    Kind,
    Line,
    ReadingsLine,
    RollupsLine,
)
from server.store import limits, rollups
from server.store.keys import DAY_MS, HEARD_CHUNK_MS, HOUR_MS

_RESOLUTIONS = {width.name: width for width in (rollups.MINUTE, rollups.HOUR, rollups.DAY)}
_MOST_KINDS = 255


class LineError(ValueError):
    """A line is not what it must be; the text says why."""


class Checker:
    """Checks the lines of a backup in order; it keeps only what the lines of one device add up to.

    Args:
        now_ms: The store's clock, Unix ms. What is a day ahead of it is refused: a device would look alive for years.
        generation_of: Returns how often the store has erased a device.
    """

    def __init__(self, now_ms: int, generation_of: Callable[[str], int]) -> None:
        self._generation_of = generation_of
        self._latest_ms = now_ms + DAY_MS
        self._last: AnyLine | None = None
        self._device: DeviceLine | None = None
        self._kinds: set[Kind] = set()
        self._boots = self._pages = self._devices = self._readings = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last line has come."""
        return isinstance(self._last, End)

    def check(self, line: AnyLine) -> None:
        """Check the next line.

        Raises:
            LineError: it is out of place, contradicts itself or another one, or has too much.
        """
        if (self._last is None) != isinstance(line, Head) or self.is_complete:
            raise LineError("it is out of place")
        if isinstance(line, Line):
            self._check_device(line)
            if max(_times(line), default=0) > self._latest_ms:
                raise LineError("it has times in the future")
        if isinstance(line, BootLine):
            self._check_boot(line)
        elif isinstance(line, ReadingsLine):
            self._readings += len(line.rows)
            self._check_kind(line.schema)
            _check_chunk((row.at for row in line.rows), HOUR_MS, "hours")
            if any(len(row.scores) != len(line.schema.labels) for row in line.rows):
                raise LineError("a row has not one score for each label")
        elif isinstance(line, HeardLine):
            _check_chunk((row.at for row in line.rows), HEARD_CHUNK_MS, "quarters of a day")
        elif isinstance(line, RollupsLine):
            self._check_kind(line.schema)
            _check_rollups(line)
        elif isinstance(line, End) and (line.devices, line.readings) != (self._devices, self._readings):
            raise LineError(f"it counts {line.readings} readings of {line.devices} devices, and there are others")
        self._last = line

    def _check_device(self, line: Line) -> None:
        if isinstance(line, DeviceLine):
            self._device, self._kinds = line, set()
            self._boots = self._pages = 0
            self._devices += 1
            ahead = line.generation - self._generation_of(line.device)
            if ahead > limits.MOST_GENERATIONS_AHEAD:
                raise LineError(f"it knows of {ahead} erasures of {line.device} that the store does not")
        elif self._device is None or (line.device, line.generation) != (self._device.device, self._device.generation):
            raise LineError(f"it is of the device {line.device} behind the lines of another one")

    def _check_boot(self, line: BootLine) -> None:
        ends = [-2, *(last for _, last in line.seen)]
        if any(first > last or first <= end + 1 for (first, last), end in zip(line.seen, ends, strict=False)):
            raise LineError("the numbers of `seen` are not in order")
        first, last = line.seen[0][0], line.seen[-1][1]
        lowest, highest = (
            (first if line.lowest is None else line.lowest),
            (last if line.highest is None else line.highest),
        )
        if not lowest <= first or not highest >= last or line.records > highest - lowest + 1:
            raise LineError("`records`, `lowest` and `highest` contradict `seen`")
        if line.first_at > line.last_at:
            raise LineError("the boot ends before it begins")
        width, page = limits.PAGE_NUMBERS, -1
        for first, last in line.seen:
            self._pages += last // width - max(first // width - 1, page)
            page = last // width
        self._boots += 1
        if self._boots > limits.MOST_BOOTS or self._pages > limits.MOST_PAGES:
            raise LineError(
                f"the device {line.device} has more than {limits.MOST_BOOTS} boots or {limits.MOST_PAGES} pages of "
                "sequence numbers"
            )

    def _check_kind(self, kind: Kind) -> None:
        if list(kind.labels) != sorted(set(kind.labels)):
            raise LineError("the labels are not in order")
        self._kinds.add(kind)
        if len(self._kinds) > _MOST_KINDS:
            raise LineError(f"the device has more than {_MOST_KINDS} kinds of readings")


def _times(line: Line) -> Iterable[int]:
    """Return the times in a line, Unix ms."""
    if isinstance(line, DeviceLine):
        return line.erased_at, line.first_seen, line.last_seen
    if isinstance(line, BootLine):
        return line.last_at, line.first_arrival, line.last_arrival
    if isinstance(line, ReadingsLine | HeardLine):
        return (row.at for row in line.rows)
    if isinstance(line, EventsLine):
        return (int(name.partition("-")[0]) for name, _, _ in line.rows)
    if isinstance(line, RollupsLine):
        width = _RESOLUTIONS[line.resolution]
        return ((line.group * width.slots + slot) * width.slot_ms for slot, _ in line.rows)
    return ()


def _check_chunk(times: Iterable[int], width_ms: int, widths: str) -> None:
    if len({at // width_ms for at in times}) > 1:
        raise LineError(f"its rows are of different {widths}")


def _check_rollups(line: RollupsLine) -> None:
    width = _RESOLUTIONS[line.resolution]
    numbers = 2 + rollups.SUMS_PER_LABEL * len(line.schema.labels)
    if any(slot >= width.slots or len(sums) != numbers or sums[1] > sums[0] for slot, sums in line.rows):
        raise LineError("a row has not the numbers of a slot")
