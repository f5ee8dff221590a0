"""What requests may ask for: the parameters of the routes, as the framework checks and documents them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.topics import CommandName

PLOTS = ("timeline", "histogram", "mean")
FORMS = ("png", "svg")
_TIME = "RFC 3339 or Unix seconds"


class DevicePath(BaseModel):
    """One device."""

    mac: Annotated[
        str,
        Field(
            description="aa:bb:cc:dd:ee:ff or aabbccddeeff",
            # Checked by `broker.topics`, whose sentence is better.
            json_schema_extra={"pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^[0-9A-Fa-f]{12}$"},
        ),
    ]


class StrictParams(BaseModel):
    """No parameter that nobody knows: a misspelt one would silently be another question."""

    model_config = ConfigDict(extra="forbid")


class DevicesParams(StrictParams):
    """Which of the devices."""

    page_size: Annotated[int, Field(ge=1, le=1000, description="devices in one answer")] = 100
    page_token: Annotated[
        str, Field(pattern="^([0-9a-f]{12})?$", description="next_page_token of the answer before")
    ] = ""


class RangeParams(StrictParams):
    """A range of time."""

    start: Annotated[str, Field(description=f"{_TIME}; included")] = ""
    end: Annotated[str, Field(description=f"{_TIME}; not included")] = ""


class FormatParams(StrictParams):
    """As what to answer."""

    format: Annotated[
        Literal["", "json", "csv"], Field(description="left out, the Accept header decides, and else JSON it is")
    ] = ""


class StepParams(RangeParams):
    """A range of time in steps."""

    step: Annotated[str, Field(description="like 10s, 1m, 1h; left out, the server picks one")] = ""


class SeriesParams(StepParams, FormatParams):
    """A device's emotions over time."""


class EventsParams(RangeParams, FormatParams):
    """Which of a device's events."""

    page_size: Annotated[int, Field(ge=1, le=1000, description="events in one answer")] = 100
    page_token: Annotated[
        str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,9})?$", description="next_page_token of the answer before")
    ] = ""


class PlotPath(DevicePath):
    """One picture of one device."""

    plot: Annotated[
        str,
        Field(description="timeline, histogram or mean", json_schema_extra={"enum": ["timeline", "histogram", "mean"]}),
    ]
    form: Annotated[str, Field(description="png or svg", json_schema_extra={"enum": ["png", "svg"]})]


class PlotParams(StepParams):
    """What a picture shows, and in which zone's time."""

    tz: Annotated[str, Field(description="time zone of the axis: UTC, or Area/City like Europe/Berlin")] = "UTC"


class ConfirmParams(StrictParams):
    """That everything is meant."""

    confirm: Annotated[str, Field(description="must be `all`")] = ""


class CommandPath(DevicePath):
    """One command that was given to one device."""

    transaction: Annotated[str, Field(description="`transaction` of the answer to the command")]


class CommandBody(StrictParams):
    """What a device shall do."""

    model_config = ConfigDict(strict=True)

    command: Annotated[CommandName, Field(description="what to do")]
    name: Annotated[str | None, Field(min_length=1, max_length=64, description="set: the device's new name")] = None
    gate_dbfs: Annotated[
        float | None, Field(ge=-100, le=0, description="set: level at which the speech gate opens, dBFS")
    ] = None
    source: Annotated[
        str | None,
        Field(min_length=1, max_length=2048, description="model: URL or path on the device of a packed bundle"),
    ] = None
    rollback: Annotated[bool, Field(description="model: go back to the model before")] = False
