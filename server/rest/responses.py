"""Response models: the bodies of the routes, as OpenAPI describes them."""

from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from broker.messages import DeviceState, ReadingState
from broker.topics import CommandName
from server.query.concerns import ConcernKind
from server.query.spans import SpanKind
from server.store.tokens import Role

Time = Annotated[str, Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})]
Ms = Annotated[int, Field(description="Unix milliseconds")]
Ratio = Annotated[float, Field(ge=0, le=1)]
CommandStatus = Literal["pending", "ok", "error", "expired"]
_CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}
MacAddress = Annotated[str, Field(description="aa:bb:cc:dd:ee:ff")]


class Body(BaseModel):
    """What the bodies of all responses have in common."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())
    other_content: ClassVar[dict[str, Any]] = {}
    """Further content types of the response, by name, as OpenAPI describes them."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Describe the response as the class is described; flask-openapi3 reads `openapi_extra`."""
        description = (cls.__doc__ or "").partition("\n")[0]
        extra = {"description": description, "content": cls.other_content}
        cls.model_config["openapi_extra"] = extra  # type: ignore[typeddict-unknown-key]


def respond(body: Body, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a response with a body, as JSON."""
    return Response(body.model_dump_json(), status, mimetype="application/json")


class Latest(Body):
    """A device's newest reading."""

    at: Ms
    state: ReadingState
    scores: dict[str, Ratio]
    level_dbfs: float


class Concern(Body):
    """What a device says of itself that someone should know."""

    kind: Annotated[ConcernKind, Field(description="docs/api.md says what each means")]
    is_fault: Annotated[bool, Field(description="someone should do something about it")]
    amount: Annotated[int | None, Field(description="records, degrees, percent or MB, where the kind has a number")]


class Baseline(Body):
    """How far a device has learned what is usual where it stands."""

    strength: Annotated[Ratio, Field(description="how much of the shift it makes is in force")]
    heard: Annotated[int, Field(description="windows of speech that it is worth, at most `wanted`")]
    wanted: Annotated[int, Field(description="windows from which it counts as learned")]
    learned_at: Annotated[
        Time | None, Field(description="since when it is learned; null before, or by an older version")
    ]


class Device(Body):
    """A device as Devices and SingleDevice show it."""

    mac_address: MacAddress
    name: str
    state: Annotated[str, Field(description="online, offline, paused; unknown before its first status")]
    labels: list[str]
    model: str
    version: str
    first_seen: Time
    last_seen: Time | None
    readings: int
    latest: Latest | None
    concerns: Annotated[list[Concern], Field(description="by its latest health; none while it is offline")]
    baseline: Annotated[
        Baseline | None, Field(description="as it said last; null: it has none, or is an older version")
    ]


class Devices(Body):
    """One page of devices."""

    devices: list[Device]
    next_page_token: Annotated[str, Field(description="page_token of the next page; empty on the last")]


class Boot(Body):
    """One start of a device process."""

    boot: str
    first_at: Time
    last_at: Time
    records: int
    missing: Annotated[int, Field(description="sequence numbers below the highest that are not stored")]


class Span(Body):
    """A stretch of time without a clear emotion, and why."""

    kind: Annotated[
        SpanKind,
        Field(
            description="silence: it heard nobody; uncertain: most readings were; paused: someone paused it; offline: "
            "it was not connected; missing: it was online, but no record says what it heard"
        ),
    ]
    start: Time
    end: Time


class Strip(Body):
    """One device on the grid of all; each list has an entry for each step."""

    mac_address: MacAddress
    readings: list[int]
    uncertain: list[int]
    scores: Annotated[dict[str, list[Ratio | None]], Field(description="mean of each label; null without readings")]
    off: Annotated[list[Span], Field(description="paused, offline or missing")]


class Strips(Body):
    """One page of strips; the first step begins at `start`, the last ends at `end`."""

    start: Time
    end: Time
    step_s: int
    strips: list[Strip]
    next_page_token: Annotated[str, Field(description="page_token of the next page; empty on the last")]


class SingleDevice(Device):
    """A device with its emotions over time, in parallel arrays.

    For each label there is also `timeseries_<label>`, the mean score in each step, null where there is no reading.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[Ratio | None]]
    other_content = _CSV

    health: Annotated[dict[str, Any] | None, Field(description="its latest report about itself")]
    boots: Annotated[list[Boot], Field(description="of the range, the newest 100, oldest first")]
    older_boots: Annotated[int, Field(description="boots of the range that are too many to be listed")]
    duplicate_identity: Annotated[bool, Field(description="two boots overlap in time: two devices use this id")]
    start: Time
    end: Time
    step_s: int
    timestamps: Annotated[list[int], Field(description="start of each step, Unix milliseconds")]
    readings_per_step: list[int]
    uncertain_per_step: list[int]
    spans: list[Span]


class Histogram(Body):
    """Readings by tenths of confidence."""

    edges: list[float]
    won: list[int]
    all: list[int]


class LabelSummary(Body):
    """One emotion over a range."""

    mean_confidence: Annotated[Ratio | None, Field(description="mean score over the readings of speech that it won")]
    mean_score: Annotated[Ratio | None, Field(description="mean score over all readings")]
    share: Annotated[Ratio | None, Field(description="of the readings of speech that it won")]
    count: Annotated[int, Field(description="readings of speech that it won")]
    histogram: Histogram


class Overall(Body):
    """All emotions over a range."""

    mean_confidence: Annotated[Ratio | None, Field(description="mean score of the winning emotion")]
    count: int


class Uncertain(Body):
    """The readings that no emotion won."""

    count: int
    share: Ratio | None


class Completeness(Body):
    """How many of the records of a range have arrived."""

    received: int
    missing: int
    ratio: Ratio | None


class Summary(Body):
    """Means, shares and histograms over a range."""

    mac_address: MacAddress
    start: Time
    end: Time
    readings: int
    labels: dict[str, LabelSummary]
    overall: Overall
    uncertain: Uncertain
    completeness: Completeness


class Event(Body):
    """A change of a device's state or model, or an erasure."""

    at: Time
    kind: Annotated[
        Literal[DeviceState, "model", "erased"],
        Field(description="its new state; model: only the model changed; erased: all older data was deleted"),
    ]
    model: Annotated[str | None, Field(description="from then on; null when erased")]
    previous_model: Annotated[str | None, Field(description="if it changed with this event")]


class Events(Body):
    """One page of events, in order of time."""

    other_content = _CSV

    mac_address: MacAddress
    start: Time
    end: Time
    events: list[Event]
    next_page_token: Annotated[str, Field(description="page_token of the next page; empty on the last")]


class Receipt(Body):
    """The receipt of an erasure."""

    receipt: Annotated[str, Field(description="number of the command that tells the device; the audit log has it too")]
    mac_address: MacAddress
    generation: Annotated[int, Field(description="how often the device has been erased")]
    records_erased: int
    erased_at: Time


class Receipts(Body):
    """The erasures of all devices."""

    receipts: list[Receipt]


class Command(Body):
    """A command, and what became of it."""

    transaction: Annotated[str, Field(description="names the command, here and in the logs")]
    mac_address: MacAddress
    command: CommandName
    status: Annotated[
        CommandStatus,
        Field(description="pending: not answered yet; ok, error: the device's answer; expired: not answered in time"),
    ]
    error: Annotated[str | None, Field(description="one sentence if the command failed or expired")]
    asked_at: Time
    expires_at: Annotated[Time, Field(description="after that it is not sent any more")]
    sent: Annotated[bool, Field(description="the broker took it while the device was online")]


class OtherColour(Body):
    """A colour for either ground."""

    colour: Annotated[str, Field(description="on white, hexadecimal RGB")]
    colour_dark: Annotated[str, Field(description="on a dark ground, hexadecimal RGB")]


class EmotionName(OtherColour):
    """How an emotion is shown."""

    name: str


class SpanName(OtherColour):
    """How a kind of span is shown; its colours are faint."""

    name: str


class Meta(Body):
    """Names and colours of emotions and spans, and what every user must be told."""

    emotions: Annotated[dict[str, EmotionName], Field(description="by label")]
    other_colours: Annotated[
        list[OtherColour],
        Field(description="of other labels: each takes the one it falls on by its letters, or the next that is free"),
    ]
    spans: Annotated[dict[str, SpanName], Field(description="by kind, in the order of a legend")]
    steps_s: Annotated[list[int], Field(description="handy steps of a series, seconds")]
    most_points: Annotated[int, Field(description="most steps of a series")]
    notice: str


class TokenFacts(Body):
    """The token that asks."""

    name: str
    role: Annotated[Role, Field(description="viewer: may read; operator: may also delete and command")]


class KnownToken(Body):
    """A token that is accepted."""

    name: str
    role: Role
    made_at: Annotated[Time | None, Field(description="null: a setting of the server")]
    made_by: Annotated[str, Field(description="the token that asked for it over REST; empty: none did")]
    last_used_at: Annotated[Time | None, Field(description="start of the hour; null: never, or a setting")]
    is_setting: Annotated[
        bool, Field(description="one of `viewer_token` and `operator_token`, which REST cannot revoke")
    ]
    is_yours: Annotated[bool, Field(description="the one that the request carries")]


class KnownTokens(Body):
    """All tokens that are accepted, without the tokens themselves."""

    tokens: list[KnownToken]


class NewToken(Body):
    """A token as its holder needs it: this answer is the only one that has it."""

    name: str
    role: Role
    token: str


class RevokedToken(Body):
    """A token that is accepted no more."""

    name: str


class Problem(Body):
    """Why a request failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="one sentence that names the value and says what to do")]
    instance: str
