"""A doctor's report: a table for people, JSON for machines, and an exit code."""

import json
import sys
from importlib.metadata import version

import pytest

from common.report import Finding, print_report, report, table, worst

OK = Finding("store", "ok", "it answers in 1 ms")
WARN = Finding("durability", "warn", "a power cut loses one second", "CONFIG SET appendfsync always")
FAIL = Finding("broker", "fail", "the broker cannot be reached", "start it")
SKIP = Finding("server", "skip", "not asked")


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], "ok"),
        ([OK, SKIP], "ok"),
        ([OK, WARN, SKIP], "warn"),
        ([FAIL, WARN], "fail"),
    ],
)
def test_the_worst_finding_counts(findings: list[Finding], expected: str) -> None:
    """A failure outweighs a warning, and what was skipped counts as well as what is right."""
    assert worst(findings) == expected
    assert report(findings).result == expected


def test_the_table_is_aligned_and_says_what_to_do() -> None:
    """Names have one width; an advice stands below its finding, and only where there is one."""
    assert table([OK, WARN, FAIL, SKIP]).splitlines() == [
        "ok    store       it answers in 1 ms",
        "warn  durability  a power cut loses one second",
        "                  -> CONFIG SET appendfsync always",
        "FAIL  broker      the broker cannot be reached",
        "                  -> start it",
        "-     server      not asked",
    ]


@pytest.mark.parametrize(("findings", "code"), [([OK, SKIP], 0), ([WARN], 0), ([OK, FAIL], 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_only_a_failure_gives_another_exit_code(
    capsys: pytest.CaptureFixture[str], findings: list[Finding], code: int, *, as_json: bool
) -> None:
    """A warning is no failure, in either form."""
    assert print_report(report(findings), as_json=as_json) == code
    assert capsys.readouterr().out


def test_machines_get_the_same_as_people(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the version, the worst result and each finding with all its fields."""
    print_report(report([OK, WARN]), as_json=True)

    told = json.loads(capsys.readouterr().out)
    assert told == {
        "version": version("moodwire"),
        "result": "warn",
        "checks": [
            {"name": "store", "result": "ok", "seen": "it answers in 1 ms", "todo": ""},
            {"name": "durability", "result": "warn", "seen": WARN.seen, "todo": WARN.todo},
        ],
    }


@pytest.mark.parametrize("forbidden", [False, True])
def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, *, forbidden: bool) -> None:
    """A terminal gets colours, unless NO_COLOR forbids them."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if forbidden:
        monkeypatch.setenv("NO_COLOR", "1")

    assert table([FAIL]).startswith("FAIL" if forbidden else "\x1b[1;31mFAIL\x1b[0m")
