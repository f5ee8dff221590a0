"""Response models of the routes about all devices, and of those that look closer at one."""

from typing import Annotated, Literal

from pydantic import Field

from server.query.completeness import Cause
from server.rest.responses import Body, Event, MacAddress, Ratio, Time


class FleetEvent(Event):
    """An event, and whose it is."""

    mac_address: MacAddress
    name: str


class FleetEvents(Body):
    """One page of events of all devices, the newest first."""

    start: Time
    end: Time
    events: list[FleetEvent]
    next_page_token: Annotated[str, Field(description="page_token of the next page; empty on the last")]


class AlertRule(Body):
    """When an alert is raised and cleared."""

    name: str
    label: str
    above: Annotated[Ratio, Field(description="mean score that raises it")]
    below: Annotated[Ratio, Field(description="mean score under which it is cleared")]
    device: Annotated[str, Field(description="pattern for the name or MAC address of devices")]
    over_minutes: Annotated[int, Field(description="length of the mean, up to now")]
    least_readings: Annotated[int, Field(description="readings that a decision needs")]
    cooldown_minutes: Annotated[int, Field(description="least time between two raises")]
    notifies: Literal["webhook", "topic"]


class Alert(Body):
    """The alert of one rule and device."""

    rule: str
    mac_address: MacAddress
    name: str
    raised: bool
    raised_at: Annotated[Time | None, Field(description="when it was raised last")]
    changed_at: Annotated[Time | None, Field(description="when it was raised or cleared last")]
    mean: Annotated[Ratio | None, Field(description="mean score with which it changed; null without readings")]


class Alerts(Body):
    """The rules that are evaluated, and the alerts that they have raised."""

    running: Annotated[bool, Field(description="whether `moodwire server alerts` evaluates rules now")]
    rules: list[AlertRule]
    alerts: Annotated[list[Alert], Field(description="those that were ever raised: raised ones first, then the newest")]


class Rhythm(Body):
    """What was heard in each hour of each weekday: rows are Monday to Sunday, columns the hours 0 to 23."""

    mac_address: MacAddress
    start: Time
    end: Time
    tz: Annotated[str, Field(description="time zone by whose clock the hours are told")]
    readings: list[list[int]]
    uncertain: list[list[int]]
    won: Annotated[dict[str, list[list[int]]], Field(description="readings of speech that each label won")]


class Signal(Body):
    """How well a device hears, in parallel arrays of steps."""

    mac_address: MacAddress
    start: Time
    end: Time
    step_s: int
    timestamps: Annotated[list[int], Field(description="start of each step, Unix milliseconds")]
    level_dbfs: Annotated[list[float | None], Field(description="mean level; null while it did not listen")]
    clipping: Annotated[list[Ratio | None], Field(description="share of samples at full scale")]
    snr_db: Annotated[list[float | None], Field(description="speech above background; null where nobody spoke")]
    windows: Annotated[list[int], Field(description="windows of three seconds that it listened to")]
    silent: Annotated[list[int], Field(description="windows in which nobody spoke")]
    dropped: Annotated[list[int], Field(description="blocks of sound that were lost")]


class Corpus(Body):
    """How often a model is right on the speakers of a corpus, none of whom it had heard."""

    corpus: str
    language: str
    own: Annotated[bool, Field(description="its own corpus: models that the same recipe made without these speakers")]
    clips: int
    speakers: int
    uar: Annotated[Ratio, Field(description="unweighted average recall")]
    uar_interval: Annotated[list[Ratio], Field(description="95 % interval over speakers: low, high")]
    recall: Annotated[dict[str, Ratio], Field(description="by label")]
    ece: Annotated[Ratio, Field(description="expected calibration error")]
    answered: Annotated[Ratio, Field(description="share of windows that are not uncertain")]
    answered_right: Annotated[Ratio, Field(description="share of these that are right")]


class Calibration(Body):
    """How often a model was right when it was so sure; bins of equally many windows."""

    confidence: list[Ratio]
    accuracy: list[Ratio]


class Model(Body):
    """A model that comes with moodwire, and what it was measured to be."""

    name: str
    labels: list[str]
    taught_by: Annotated[str, Field(description="the recordings that it learned from")]
    uncertain_below: Annotated[Ratio, Field(description="a window whose strongest emotion has less is uncertain")]
    parameters: int
    bytes: int
    chance: Annotated[Ratio, Field(description="recall of guessing")]
    corpora: list[Corpus]
    calibration: Calibration
    confusion: Annotated[list[list[int]], Field(description="rows: what was portrayed; columns: what was heard")]
    listeners_uar: Annotated[Ratio | None, Field(description="recall of people who only heard the same clips")]


class Models(Body):
    """The models that come with moodwire."""

    models: list[Model]


class Gap(Body):
    """A stretch of time of which nothing is stored."""

    start: Time
    end: Time
    cause: Annotated[
        Cause,
        Field(
            description="dropped: the device's outbox reached its limit; paused: someone paused it; waiting: it waits "
            "in the outbox of the connected device; offline: the device was not connected; not_yet: it is too young to "
            "be missed; unknown: nobody knows"
        ),
    ]
    records: Annotated[
        int | None, Field(description="dropped: how many records, counted where they end; null if nobody knows")
    ]


class CauseSum(Body):
    """All gaps of one cause."""

    gaps: int
    seconds: float


class RecordCounts(Body):
    """Sequence numbers of the boots that have records in the range, each boot as a whole."""

    expected: Annotated[int, Field(description="numbers that the device is known to have used: stored and missing")]
    stored: int
    missing: int
    dropped: Annotated[int, Field(description="of the missing ones, those that the device says it had to drop")]
    more_boots: Annotated[bool, Field(description="there are more than 100 boots, and the oldest are not counted")]


class DeviceCompleteness(Body):
    """For how much of a range a device is heard, and why the rest is missing."""

    mac_address: MacAddress
    start: Annotated[Time, Field(description="of what is expected: in the range, and since the device is known")]
    end: Annotated[Time, Field(description="of what is expected: in the range, and now at most")]
    expected_s: Annotated[float, Field(description="stored_s and all gaps together")]
    stored_s: Annotated[float, Field(description="time for which a stored record says that the device listened")]
    ratio: Annotated[Ratio | None, Field(description="stored_s of expected_s; null if nothing is expected")]
    causes: Annotated[dict[Cause, CauseSum], Field(description="by cause, the longest first")]
    gaps: Annotated[list[Gap], Field(description="in order; the last 1000")]
    more_gaps: Annotated[int, Field(description="earlier gaps that are left out here, and counted in causes")]
    records: RecordCounts
