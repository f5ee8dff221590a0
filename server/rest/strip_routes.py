"""The route about all devices at once: a strip of each."""

from http import HTTPStatus

from flask import Response

from broker import topics
from server.errors import ProblemError
from server.query import strips as all_strips
from server.query import time_range
from server.query.strips import Strip
from server.query.time_range import HOUR_MS, Range, rfc3339
from server.rest import openapi, params, responses
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.responses import respond
from server.store.keys import DAY_MS
from server.store.rollups import MINUTE

blueprint = make_blueprint("strips")

_LONGEST_MS = DAY_MS + HOUR_MS
_PICKED_POINTS = 61
"""The last hour in minutes, where it begins within one."""


@blueprint.get("/strips", tags=openapi.DEVICES, responses={200: responses.Strips}, openapi_extensions=openapi.VIEWER)
def strips(query: params.StripsParams) -> Response:
    """Strips: how much each device heard and what, on one grid for all, and when it was off; default: the last hour."""
    now = lookup().now
    asked = time_range.parse_range(query.start, query.end, Range(now - HOUR_MS, now))
    if asked.end - asked.start > _LONGEST_MS:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"from {rfc3339(asked.start)} to {rfc3339(asked.end)} is more than a day: ask for a day or less",
        )
    step_ms = time_range.parse_step(query.step, asked, raw_is_kept=False, picked_points=_PICKED_POINTS)
    if step_ms % MINUTE.slot_ms:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"step {query.step} is not whole minutes: use 1m or more")
    found = services().store.devices(query.page_token, query.page_size + 1)
    page = found[: query.page_size]
    inside = time_range.widen(asked, step_ms)
    return respond(
        responses.Strips(
            start=rfc3339(inside.start),
            end=rfc3339(inside.end),
            step_s=step_ms // 1000,
            strips=[_body(strip) for strip in all_strips.strips(services().store, lookup(), page, inside, step_ms)],
            next_page_token=page[-1].id if len(found) > query.page_size else "",
        )
    )


def _body(strip: Strip) -> responses.Strip:
    return responses.Strip(
        mac_address=topics.mac_address(strip.device.id),
        readings=strip.readings.tolist(),
        uncertain=strip.uncertain.tolist(),
        # NaN marks a step without a reading, and differs from itself.
        scores={
            label: [round(mean, 2) if mean == mean else None for mean in means.tolist()]  # noqa: PLR0124
            for label, means in strip.means.items()
        },
        off=[responses.Span(kind=span.kind, start=rfc3339(span.start), end=rfc3339(span.end)) for span in strip.off],
    )
