"""`moodwire server doctor`: checks everything that the server needs, and says what to do about what is wrong."""

import contextlib
import http.client
import sys

import msgspec
import typed_settings as ts

from common import addresses
from common.decoding import JSON_ERRORS
from common.report import Finding, print_report, report
from server.errors import UnusableError
from server.ops import doctor_broker, doctor_store
from server.settings import ServerSettings
from server.store.redis_store import open_store

_ANSWER_S = 5.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- where to ask a REST that listens everywhere


@ts.settings(frozen=True)
class DoctorSettings(ServerSettings):
    """Settings of `moodwire server doctor`."""

    json: bool = ts.option(default=False, help="print JSON for machines instead of a table")


def doctor(settings: DoctorSettings) -> int:
    """Print the findings; return 1 if something must be mended, 2 if the settings are not usable."""
    try:
        with contextlib.closing(open_store(settings)) as store:
            findings = doctor_store.check(store, settings)
            findings += [*doctor_broker.check(store, settings), _rest(settings)]
    except UnusableError as error:
        print(f"moodwire server doctor: {error}", file=sys.stderr)
        return 2
    return print_report(report(findings), as_json=settings.json)


def _rest(settings: ServerSettings) -> Finding:
    """Ask REST whether it is ready, as a load balancer does."""
    host = _ANYWHERE.get(settings.api_host, settings.api_host)
    place = f"http://{addresses.join(host, settings.api_port)}"
    connection = http.client.HTTPConnection(host, settings.api_port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        seen = f"REST does not answer at {place}: {error}"
        return Finding("rest", "fail", seen, "start `moodwire server run`, or set api_host and api_port as it has them")
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return Finding("rest", "ok", f"REST answers at {place} and is ready")
    try:
        why = msgspec.json.decode(body, type=dict[str, object]).get("detail", body)
    except JSON_ERRORS:
        todo = "set api_host and api_port as `moodwire server run` has them"
        return Finding("rest", "fail", f"what answers at {place} is not moodwire", todo)
    return Finding("rest", "fail", f"REST answers at {place} and is not ready: {why}", "mend what the lines above say")
