"""Parameters of the routes, as flask-openapi3 checks and documents them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.topics import CommandName
from server.store.tokens import Role

_TIME = "RFC 3339 or Unix seconds"


class DevicePath(BaseModel):
    """One device."""

    mac: Annotated[
        str,
        Field(
            description="aa:bb:cc:dd:ee:ff or aabbccddeeff",
            # Not checked here: the sentence of `broker.topics` is better.
            json_schema_extra={"pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^[0-9A-Fa-f]{12}$"},
        ),
    ]


class StrictParams(BaseModel):
    """Refuses unknown parameters; ignoring a misspelt one would answer another question."""

    model_config = ConfigDict(extra="forbid")


class DevicesParams(StrictParams):
    """Which page of the devices."""

    page_size: Annotated[int, Field(ge=1, le=1000, description="devices per page")] = 100
    page_token: Annotated[str, Field(pattern="^([0-9a-f]{12})?$", description="next_page_token of the page before")] = (
        ""
    )


class RangeParams(StrictParams):
    """A range of time."""

    start: Annotated[str, Field(description=f"{_TIME}; included")] = ""
    end: Annotated[str, Field(description=f"{_TIME}; not included")] = ""


class FormatParams(StrictParams):
    """Content type of the response."""

    format: Annotated[
        Literal["", "json", "csv"], Field(description="default: as the Accept header prefers, else JSON")
    ] = ""


class StepParams(RangeParams):
    """A range of time in steps."""

    step: Annotated[str, Field(description="like 10s, 1m, 1h; default: the server picks one")] = ""


class SeriesParams(StepParams, FormatParams):
    """A device's emotions over time."""


class EventsParams(RangeParams, FormatParams):
    """Which page of a device's events."""

    page_size: Annotated[int, Field(ge=1, le=1000, description="events per page")] = 100
    page_token: Annotated[
        str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,9})?$", description="next_page_token of the page before")
    ] = ""


class StripsParams(StepParams, DevicesParams):
    """A range of time for one page of the devices."""


class ZoneParams(RangeParams):
    """A range of time, and by whose clock its hours are told."""

    tz: Annotated[str, Field(description="time zone of the hours: UTC, or Area/City like Europe/Berlin")] = "UTC"


class AllEventsParams(RangeParams):
    """Which page of the events of all devices."""

    page_size: Annotated[int, Field(ge=1, le=1000, description="events per page")] = 100
    page_token: Annotated[
        str,
        Field(pattern=r"^([0-9]{1,15}-[0-9]{1,9}\.[0-9a-f]{12})?$", description="next_page_token of the page before"),
    ] = ""


class PlotPath(DevicePath):
    """One plot of one device."""

    plot: Annotated[
        str,
        Field(description="timeline, histogram or mean", json_schema_extra={"enum": ["timeline", "histogram", "mean"]}),
    ]
    form: Annotated[str, Field(description="png or svg", json_schema_extra={"enum": ["png", "svg"]})]


class PlotParams(StepParams):
    """What a plot shows, and in which time zone."""

    tz: Annotated[str, Field(description="time zone of the axis: UTC, or Area/City like Europe/Berlin")] = "UTC"
    dark: Annotated[bool, Field(description="light on a dark ground")] = False
    width: Annotated[int, Field(ge=400, le=3000, description="pixels; 5 to 20 times `dpi`")] = 1200
    dpi: Annotated[int, Field(ge=72, le=300, description="pixels per inch: text grows with it")] = 120


class ConfirmParams(StrictParams):
    """A confirmation that all devices are meant."""

    confirm: Annotated[str, Field(description="must be `all`")] = ""


class TokenPath(BaseModel):
    """One token."""

    name: Annotated[str, Field(description="name of the token")]


class TokenBody(StrictParams):
    """A token that is to be made."""

    model_config = ConfigDict(strict=True)

    name: Annotated[
        str,
        Field(
            description="who or what will hold it",
            # Not checked here: the sentence of `server.store.tokens` is better.
            json_schema_extra={"pattern": "^[a-z0-9][a-z0-9-]{0,31}$"},
        ),
    ]
    role: Annotated[Role, Field(description="viewer: may read; operator: may also delete, command and make tokens")]


class CommandPath(DevicePath):
    """One command to one device."""

    transaction: Annotated[str, Field(description="`transaction` of the response to the command")]


class CommandBody(StrictParams):
    """A command to a device."""

    model_config = ConfigDict(strict=True)

    command: Annotated[CommandName, Field(description="what to do")]
    name: Annotated[str | None, Field(min_length=1, max_length=64, description="set: the device's new name")] = None
    gate_dbfs: Annotated[
        Annotated[float, Field(ge=-100, le=0)] | Literal["auto"] | None,
        Field(description="set: level at which the speech gate opens, dBFS; `auto`: as the device's settings say"),
    ] = None
    forget_baseline: Annotated[
        Literal[True] | None, Field(description="set: learn anew what is usual where the device stands")
    ] = None
    source: Annotated[
        str | None,
        Field(min_length=1, max_length=2048, description="model: URL or path on the device of a packed bundle"),
    ] = None
    rollback: Annotated[bool, Field(description="model: go back to the model before")] = False
