"""The route that tells what of a range is stored of a device, and why the rest is missing."""

from flask import Response

from broker import topics
from server.query import completeness, time_range
from server.query.time_range import Range, rfc3339
from server.rest import more_responses, openapi, params
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.responses import respond
from server.store.keys import DAY_MS

blueprint = make_blueprint("completeness")

_MOST_GAPS = 1000


@blueprint.get(
    "/devices/<mac>/completeness",
    tags=openapi.SINGLE_DEVICE,
    responses={200: more_responses.DeviceCompleteness},
    openapi_extensions=openapi.VIEWER,
)
def tell(path: params.DevicePath, query: params.RangeParams) -> Response:
    """Completeness: what of a range is stored, and why the rest is missing; default: the last day."""
    device = lookup().find(path.mac)
    end = lookup().end_of_records(device)
    asked = time_range.parse_range(query.start, query.end, Range(end - DAY_MS, end))
    found = completeness.read(services().store, device, asked, lookup().now, lookup().kept_since)
    return respond(
        more_responses.DeviceCompleteness(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(found.expected[0]),
            end=rfc3339(found.expected[1]),
            expected_s=found.expected_ms / 1000,
            stored_s=found.stored_ms / 1000,
            ratio=round(found.stored_ms / found.expected_ms, 6) if found.expected_ms else None,
            causes={
                cause: more_responses.CauseSum(gaps=count, seconds=length_ms / 1000)
                for cause, (count, length_ms) in found.by_cause().items()
            },
            gaps=[
                more_responses.Gap(start=rfc3339(gap.start), end=rfc3339(gap.end), cause=gap.cause, records=gap.records)
                for gap in found.gaps[-_MOST_GAPS:]
            ],
            more_gaps=max(len(found.gaps) - _MOST_GAPS, 0),
            records=more_responses.RecordCounts(expected=found.records.expected, **found.records._asdict()),
        )
    )
