"""What charts are made of, without a chart: ticks, steps and lines, tried in the browser that draws them."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from dashboards import MadeUp, dashboard
from selenium import webdriver

BACK_MS = 1_792_890_000_000
"""2026-10-25T01:00:00Z, when clocks in Rome go back from 3:00 to 2:00."""
FORWARD_MS = 1_774_746_000_000
"""2026-03-29T01:00:00Z, when they go forward."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(browser: webdriver.Chrome) -> Iterator[Run]:
    """Return what evaluates an expression over a module `m` of the page."""
    rest, live = MadeUp(), MadeUp()
    with dashboard(rest, live) as served:
        browser.get(f"{served.url}/login")
        source = browser.execute_script("return document.querySelector('script[src*=\"/js/\"]').src")  # type: ignore[no-untyped-call]
        folder = source.rpartition("/js/")[0]

        def evaluate(module: str, code: str) -> Any:
            script = (
                f"const done = arguments[arguments.length - 1]; import('{folder}/js/{module}.js')"
                f".then(m => done([{code}])).catch(error => done(String(error)))"
            )
            found = browser.execute_async_script(script)  # type: ignore[no-untyped-call]
            assert isinstance(found, list), found
            return found[0]

        yield evaluate
        browser.get("about:blank")
    rest.stop()
    live.stop()


def ticks(run: Run, start: int, end: int, most: int, zone: str = "Europe/Rome") -> list[tuple[str, int]]:
    """Return label and time of the ticks of a range."""
    zoned = f"{{timeZone: '{zone}', hourCycle: 'h23', ...options}}"
    write = f"(ms, options) => new Intl.DateTimeFormat('en-GB', {zoned}).format(ms)"
    code = f"m.timeTicks({start}, {end}, {most}, new m.Offsets('{zone}'), {write}).map(t => [t.label, t.at])"
    return [(label, at) for label, at in run("charts/scale", code)]


def test_the_night_when_clocks_go_back_is_not_folded(run: Run) -> None:
    """The hour that comes twice has its ticks twice, an hour apart, each with the name of its zone."""
    found = ticks(run, BACK_MS - 2 * HOUR_MS, BACK_MS + 2 * HOUR_MS, 6)

    assert [label for label, _ in found] == ["01:00 CEST", "02:00 CEST", "02:00 CET", "03:00", "04:00"]
    assert [later - at for (_, at), (_, later) in pairwise(found)] == [HOUR_MS] * 4


def test_the_night_when_clocks_go_forward_has_no_time_that_is_not(run: Run) -> None:
    """After 01:00 comes 03:00, an hour later."""
    found = ticks(run, FORWARD_MS - 2 * HOUR_MS, FORWARD_MS + 2 * HOUR_MS, 6)

    assert [label for label, _ in found] == ["00:00 CET", "01:00", "03:00 CEST", "04:00", "05:00"]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Rome"])
@pytest.mark.parametrize("length_ms", [3_000, 300_000, HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 700 * DAY_MS])
def test_every_range_has_few_ticks_at_round_times(run: Run, zone: str, length_ms: int) -> None:
    """Ticks are few, in order, and where the zone's clock is round; days begin at its midnight."""
    found = ticks(run, BACK_MS + DAY_MS - length_ms, BACK_MS + DAY_MS, 8, zone)

    assert 1 <= len(found) <= 9
    assert [at for _, at in found] == sorted({at for _, at in found})
    if length_ms >= 30 * DAY_MS:
        offsets = run("charts/scale", f"(o => {[at for _, at in found]}.map(at => o.at(at)))(new m.Offsets('{zone}'))")
        assert {(at + offset) % DAY_MS for (_, at), offset in zip(found, offsets, strict=True)} == {0}


def test_a_local_time_is_an_instant_and_back(run: Run) -> None:
    """A time that comes twice is the first of the two, and one that is skipped is just after the gap."""
    code = "[1792893600000, 1774749600000, 1790000000000].map(local => new m.Offsets('Europe/Rome').instant(local))"
    twice, skipped, usual = run("charts/scale", code)

    assert twice == BACK_MS - HOUR_MS
    assert FORWARD_MS - HOUR_MS <= skipped <= FORWARD_MS + HOUR_MS
    assert usual == 1_790_000_000_000 - 2 * HOUR_MS


def test_steps_are_those_that_rest_allows(run: Run) -> None:
    """Every range of the page, on a phone and on a wall, asks for one of REST's own steps, and for few."""
    steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400]
    for length_s in (4, 60, 300, 3600, 86_400, 7 * 86_400, 30 * 86_400, 400 * 86_400):
        for most in (60, 120, 360):
            step_ms = run("charts/scale", f"m.pickStep({length_s * 1000}, {steps}, {most})")
            assert step_ms // 1000 in steps or step_ms % 86_400_000 == 0
            assert length_s * 1000 / step_ms <= most
    assert run("charts/scale", "[5000, 60000, 7200000, 86400000].map(m.stepName)") == ["5s", "1m", "2h", "1d"]


def test_a_line_weighs_readings_and_breaks_at_gaps(run: Run) -> None:
    """A step of 59 readings counts 59 times as much as one of a single reading; a long pause begins a new piece."""
    step = "(at, n, share) => ({at, readings: n, uncertain: 0, sums: {A: n * share, B: n * (1 - share)}})"
    code = f"(s => m.smooth([s(0, 59, 0.9), s(60, 1, 0.3), s(9000, 5, 0.5)], ['A', 'B'], 1e6, 600))({step})"
    first, second = run("charts/series", code)

    assert [round(value, 4) for value in first[0]["values"]] == [0.89, 0.11]
    assert [point["at"] for point in second] == [9000]


def test_live_readings_add_to_the_step_that_rest_has_begun(run: Run) -> None:
    """Means of REST and single readings make one mean, and an unknown label joins the others."""
    told = (
        "{step_s: 10, timestamps: [20000], timeseries_A: [0.5], timeseries_B: [0.5], readings_per_step: [3],"
        " uncertain_per_step: [1], spans: []}"
    )
    code = (
        f"(s => {{ s.add({{at: 25000, state: 'uncertain', scores: {{A: 0.9, C: 0.1}}}});"
        " return [s.labels, s.stepAt(29999), s.stepAt(30000) ?? null]; })"
        f"(m.Series.fromRest({told}))"
    )
    labels, step, after = run("charts/series", code)

    assert labels == ["A", "B", "C"]
    assert (step["readings"], step["uncertain"]) == (4, 2)
    assert {label: round(total, 4) for label, total in step["sums"].items()} == {"A": 2.4, "B": 1.5, "C": 0.1}
    assert after is None
