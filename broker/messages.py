"""Every message on the wire as a frozen, typed structure, and the only place that encodes and decodes them.

Unknown fields are ignored, so that old readers survive new writers; else what is not as described raises `WireError`.
"""

import functools
import re
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from common import text
from common.decoding import JSON_ERRORS

MAX_PAYLOAD_BYTES = 65_536
"""No message is larger; the broker's configuration has the same limit."""
MAX_BATCH = 100
"""Records in one array; devices send a backlog in arrays."""
MAX_SEQ = 2**26 - 1
"""At one record a second a boot lasts two years; the store's bitmap of one boot stays under 8 MiB."""
MOST_DROPPED_SPANS = 16  # in one health message; an outage makes one for each boot

Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""64 random bits, made at each start of the device process."""
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
UnixMs = Annotated[int, Meta(ge=0, lt=2**48)]
"""Milliseconds since 1970-01-01 UTC."""
Label = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,15}\Z")]
Probability = Annotated[float, Meta(ge=0, le=1)]
Decibel = Annotated[float, Meta(ge=-120, le=0)]
"""dB relative to full scale; digital silence is -120, never 0."""
MIN_GATE_DBFS, MAX_GATE_DBFS = -100, 0
GateLevel = Annotated[float, Meta(ge=MIN_GATE_DBFS, le=MAX_GATE_DBFS)]
"""Level that opens the speech gate, dB relative to full scale."""
ShortText = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0)]
EraseGeneration = Annotated[int, Meta(ge=0, le=2**48)]
"""How often a device was erased; the store counts no further."""
Range = tuple[Seq, Seq]
"""First and last sequence number, both included."""
ReadingState = Literal["speech", "uncertain"]
DeviceState = Literal["online", "offline", "paused"]
CaptureState = Literal["ok", "zeros", "flat", "stalled", "missing", "paused"]
"""Whether sound comes in, or why not: exact zeros, one constant value, nothing, no microphone, or a paused device."""
ServerView = Literal["online", "offline", "missing", "malformed"]
"""A device's view of the server's status: `missing`, none is retained or it is withheld; `malformed`, it is none."""

_BOOT = re.compile("[0-9a-f]{16}")
_LABEL = re.compile("[A-Z][A-Z0-9_]{0,15}")


class WireError(ValueError):
    """A message is not what the contract says; the text says why."""


# A regular expression takes longer than all the rest of decoding a reading, and the same words come again and again.
@functools.lru_cache(maxsize=16_384)
def _check_boot(boot: str) -> None:
    if not _BOOT.fullmatch(boot):
        raise ValueError(f"boot is {boot!r}: use 16 lower-case hex digits")


@functools.lru_cache(maxsize=1024)
def _check_labels(labels: tuple[str, ...]) -> None:
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"scores has {label!r}: use 1 to 16 of A-Z, 0-9 and _, a letter first")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every record, which goes through the outbox and is confirmed."""

    v: Literal[1] = 1
    boot: Annotated[str, Meta(max_length=16)]
    """As `Boot`."""
    seq: Seq
    """Counts records of all kinds together."""
    gen: EraseGeneration
    """The erase generation that the record belongs to."""
    at: UnixMs
    """End of the span."""
    span_ms: Annotated[int, Meta(ge=1, le=600_000)]

    def __post_init__(self) -> None:
        """Check the boot."""
        _check_boot(self.boot)


class Reading(Record, frozen=True, kw_only=True):
    """The classifier's result for one window of speech."""

    state: ReadingState
    scores: Annotated[dict[Annotated[str, Meta(max_length=16)], Probability], Meta(min_length=1, max_length=16)]
    """Calibrated probabilities of this window, unsmoothed, keyed by `Label`."""
    level_dbfs: Decibel
    """Of the window."""
    model: ShortText
    clock_synced: bool
    baseline: Probability | None = None
    """How strongly the device's baseline was in force; None without one."""

    def __post_init__(self) -> None:
        """Check the boot and the labels."""
        _check_boot(self.boot)
        _check_labels(tuple(self.scores))


class Heard(Record, frozen=True, kw_only=True):
    """What the device listened to in one minute, so that silence and absence can be told apart later."""

    windows: Count
    silent: Count
    speech: Count
    uncertain: Count
    dropped: Count
    """Blocks of sound that were lost before they were classified."""
    level_dbfs: Decibel
    """Mean level of the span."""
    clipping: Probability
    """Share of samples at full scale."""
    snr_db: Annotated[float, Meta(ge=0, le=120)] | None = None
    """How far speech stood above the background; None when there was no speech to compare."""
    paused: bool = False
    """Someone paused the device: the microphone was closed, and `windows` is 0 for that reason."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a device is online; retained, and the device's last will."""

    v: Literal[1] = 1
    state: DeviceState
    boot: Boot
    connection: Count
    """Counts the connections of a boot, so that a stale last will is told from a fresh one."""
    name: ShortText
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=16)]
    model: ShortText
    version: ShortText
    gate_dbfs: GateLevel | None = None
    """Level that opens the speech gate; None: it follows the noise floor, or an older device does not say."""
    models: tuple[ShortText, ...] = ()
    """Names of the bundles that the device has, each once."""
    can_roll_back: bool = False
    """Whether there is a model before this one to roll back to."""

    def __post_init__(self) -> None:
        """Replace what cannot be shown in the name; a device is seen all the same."""
        force_setattr(self, "name", text.tidy(text.clean(self.name)))


class DroppedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one boot that the outbox had to drop, one after the other, because its limit was reached."""

    boot: Boot
    first: Seq
    last: Seq
    """Included; a few between may have been sent."""
    start: UnixMs
    end: UnixMs
    records: Count


class BaselineHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How far a device has learned what is usual, how strongly that is in force, and the label that took over."""

    strength: Probability
    heard: Count
    """Windows of speech that it is worth, at most `wanted`, from which it counts as learned: since `learned_at`."""
    wanted: Count
    learned_at: UnixMs | None = None
    taken_over: Label | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A device's health; retained, once a minute."""

    v: Literal[1] = 1
    boot: Boot
    inference_p50_ms: float
    """Median time of the classifier for one window."""
    inference_p95_ms: float
    cpu_ratio: float
    """Share of one core that the process used since the last record."""
    rss_bytes: Count
    temperature_c: float | None
    outbox_rows: Count
    outbox_oldest_age_s: float
    dropped: Count
    """Records that the outbox had to drop since the start of the process."""
    dropped_spans: Annotated[tuple[DroppedSpan, ...], Meta(max_length=MOST_DROPPED_SPANS)] = ()
    """The last ones since the device was set up or erased, over restarts too; none from older versions."""
    source: ShortText
    """Microphone or folder that is being listened to."""
    clock_synced: bool
    capture: CaptureState = "ok"
    overruns: Count = 0
    """Blocks of sound that were lost since the start of the process."""
    reopened: Count = 0
    """How often the microphone had to be opened again since the start of the process."""
    outbox: Literal["ok", "full"] = "ok"
    """`full`: the disk takes nothing, so records wait in memory only."""
    refused_rows: Count = 0
    """Records set aside because the server will never take them; `moodwire device doctor` shows them."""
    damaged_rows: Count = 0
    """About how many records were lost since the start of the process because the outbox's file was damaged."""
    disk_free_bytes: Count | None = None
    """On the file system of the outbox."""
    server: ServerView | None = None
    """Why records wait, unless `online`; None where the broker confirms, and from older versions."""
    baseline: BaselineHealth | None = None
    """None: switched off, or a model without reference, or an older version."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of exactly these sequence numbers of one boot; a device forgets a record only on this."""

    v: Literal[1] = 1
    boot: Boot
    stored: tuple[Range, ...] = ()
    expired: tuple[Range, ...] = ()
    """Older than the server keeps."""
    erased: tuple[Range, ...] = ()
    """Of a generation that was erased."""
    refused: tuple[tuple[Seq, Seq, str], ...] = ()  # with the reason, as `later`
    later: tuple[tuple[Seq, Seq, str], ...] = ()
    """Not taken now: the device keeps them and sends them again."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The erase generation that a device shall use from now on; retained."""

    v: Literal[1] = 1
    gen: EraseGeneration


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """What a device hears now, for home automation: retained, at most every ten seconds, and never a record."""

    v: Literal[1] = 1
    at: UnixMs
    """End of the latest window."""
    state: Literal["speech", "uncertain", "noise", "silent", "paused"]
    top: Label | None
    """Emotion with the highest smoothed probability; None unless `state` is `speech`."""
    scores: dict[Label, Probability]
    """Smoothed probabilities; empty when nobody speaks."""
    level_dbfs: Decibel
    baseline: Probability | None = None


Transaction = Annotated[str, Meta(min_length=1, max_length=64)]
"""Chosen by the sender of a command; the response carries it, and a command that comes twice is carried out once."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command to a device: all of `pause` and `resume`, and the base of the others."""

    v: Literal[1] = 1
    transaction: Transaction


class SetCommand(Command, frozen=True, kw_only=True):
    """Changes settings of a running device; kept over restarts. What is None stays."""

    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    gate_dbfs: GateLevel | Literal["auto"] | None = None
    paused: bool | None = None
    """The same as the commands `pause` and `resume`, for a sender that has one topic for both."""
    forget_baseline: Literal[True] | None = None
    """Learn anew what is usual: the device has another place, or other people speak."""

    def __post_init__(self) -> None:
        """Check that the name can be shown."""
        if self.name is not None:
            text.check_name(self.name)


class ModelCommand(Command, frozen=True, kw_only=True):
    """Switches to another bundle, or back to the model before; exactly one of the three is given."""

    source: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """https:// or http:// URL, or path on the device, of a packed bundle (`moodwire bundle pack`)."""
    bundle: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Name of a bundle that the device has, as its status lists it."""
    rollback: bool = False


class CommandResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A device's response to a command, once it has ended."""

    v: Literal[1] = 1
    transaction: Transaction
    status: Literal["ok", "error"]
    error: str | None = None
    """One sentence when it failed."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an ingest is there to confirm records; retained, and ingest's last will."""

    v: Literal[1] = 1
    state: Literal["online", "offline"]


Message = (
    Reading
    | Heard
    | Status
    | Health
    | LiveState
    | Command
    | SetCommand
    | ModelCommand
    | CommandResponse
    | Stored
    | Generation
    | ServerStatus
)
M = TypeVar("M", bound=Message)


class Identity(msgspec.Struct, frozen=True):
    """The identity of a record; enough to refuse one that is otherwise malformed."""

    boot: Boot
    seq: Seq


class _CommandIdentity(msgspec.Struct, frozen=True):
    """The identity of a command; enough to respond to one that is otherwise malformed."""

    transaction: Transaction


_encoder = msgspec.json.Encoder()
# Made at import, in one thread: two threads that make msgspec 0.22 look at a type for the first time at once end the
# process with a segmentation fault (seen with 125 devices in a process).
_decoders: dict[Any, msgspec.json.Decoder[object]] = {kind: msgspec.json.Decoder(kind) for kind in get_args(Message)}
_identity = msgspec.json.Decoder(Identity)
_command_identity = msgspec.json.Decoder(_CommandIdentity)


def encode(message: Message) -> bytes:
    """Return the message as UTF-8 JSON."""
    return _encoder.encode(message)


def join(payloads: list[bytes]) -> bytes:
    """Return one payload with several encoded records; a single one stays as it is."""
    return payloads[0] if len(payloads) == 1 else b"[" + b",".join(payloads) + b"]"


def decode(payload: bytes, kind: type[M]) -> M:
    """Return one message of the asked kind.

    Raises:
        WireError: the payload is not JSON, or not such a message; the text names the field.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"the payload has {len(payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
    try:
        message = _decoder(kind).decode(payload)
    except JSON_ERRORS as error:
        raise WireError(str(error)) from error
    assert isinstance(message, kind)
    return message


def decode_all(payload: bytes, kind: type[M]) -> list[M]:
    """Return the messages of one payload, one or up to 100, that are all of the asked kind.

    Raises:
        WireError: the payload is too large, or anything in it is not such a message; `batches.split` tells them apart.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"the payload has {len(payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
    if not payload.startswith(b"["):
        return [decode(payload, kind)]
    try:
        found = _decoder(Annotated[list[kind], Meta(max_length=MAX_BATCH)]).decode(payload)  # type: ignore[valid-type]
    except JSON_ERRORS as error:
        raise WireError(str(error)) from error
    assert isinstance(found, list)
    return found


def _decoder(kind: Any) -> msgspec.json.Decoder[object]:
    """Return the decoder of a message, or of a list of messages, made once."""
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    return _decoders[kind]


def identify(payload: bytes) -> Identity | None:
    """Return boot and sequence number of a record that is otherwise malformed, or None if not even those are there."""
    try:
        return _identity.decode(payload)
    except JSON_ERRORS:
        return None


def transaction(payload: bytes) -> str | None:
    """Return the transaction of a command that is otherwise malformed, or None if not even that is there."""
    try:
        return _command_identity.decode(payload).transaction
    except JSON_ERRORS:
        return None


def ranges(numbers: list[int]) -> tuple[Range, ...]:
    """Return sequence numbers as sorted ranges, both ends included: [4, 1, 2] gives ((1, 2), (4, 4))."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return tuple((first, last) for first, last in found)
