"""The routes that look closer at one device: its week hour by hour, and how well it hears."""

import numpy as np
from flask import Response

from broker import topics
from server.query import rhythm as rhythms
from server.query import signal as signals
from server.query import time_range
from server.query.time_range import rfc3339
from server.rest import more_responses, openapi, params, zones
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.responses import respond
from server.store.types import Floats

blueprint = make_blueprint("insight")


@blueprint.get(
    "/devices/<mac>/rhythm",
    tags=openapi.SINGLE_DEVICE,
    responses={200: more_responses.Rhythm},
    openapi_extensions=openapi.VIEWER,
)
def rhythm(path: params.DevicePath, query: params.ZoneParams) -> Response:
    """Rhythm: what was heard in each hour of each weekday, by a zone's clock; default: everything that is kept."""
    device, zone = lookup().find(path.mac), zones.find(query.tz)
    range_ = time_range.parse_range(query.start, query.end, lookup().everything(device))
    found = rhythms.rhythm(services().store, device.id, range_, zone)
    return respond(
        more_responses.Rhythm(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(found.range.start),
            end=rfc3339(found.range.end),
            tz=str(zone),
            readings=found.readings.tolist(),
            uncertain=found.uncertain.tolist(),
            won={label: won.tolist() for label, won in sorted(found.won.items())},
        )
    )


@blueprint.get(
    "/devices/<mac>/signal",
    tags=openapi.SINGLE_DEVICE,
    responses={200: more_responses.Signal},
    openapi_extensions=openapi.VIEWER,
)
def signal(path: params.DevicePath, query: params.StepParams) -> Response:
    """Signal: level, clipping, distance of speech from the background, and lost sound, on a grid of steps."""
    device = lookup().find(path.mac)
    range_ = time_range.parse_range(query.start, query.end, lookup().last_hour(device))
    step_ms = time_range.parse_step(query.step, range_, raw_is_kept=False)  # a record is about a minute
    found = signals.signal(services().store, device.id, range_, step_ms)
    return respond(
        more_responses.Signal(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(range_.start),
            end=rfc3339(range_.end),
            step_s=step_ms // 1000,
            timestamps=found.timestamps.tolist(),
            level_dbfs=_known(found.level_dbfs, 1),
            clipping=_known(found.clipping, 6),
            snr_db=_known(found.snr_db, 1),
            windows=found.windows.tolist(),
            silent=found.silent.tolist(),
            dropped=found.dropped.tolist(),
        )
    )


def _known(values: Floats, digits: int) -> list[float | None]:
    """Return values, null for those that are not known."""
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
