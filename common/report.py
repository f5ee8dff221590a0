"""Report of a doctor: findings as a table for people or as JSON for machines, and the exit code."""

import os
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Literal

import msgspec

Result = Literal["ok", "warn", "fail", "skip"]
_WORDS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skip": "-"}
_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31", "skip": "2"}


class Finding(msgspec.Struct, frozen=True):
    """One check and its result."""

    name: str
    """Stable, as machines look for it."""
    result: Result
    """`warn`: works, but should be looked at; `skip`: could not be checked."""
    seen: str
    """What was found, in one sentence."""
    todo: str = ""
    """What to do about it, in one sentence; empty for nothing."""


class Report(msgspec.Struct, frozen=True):
    """All findings, as `--json` prints them."""

    version: str
    """Of moodwire."""
    result: Result
    """The worst of all checks; a skipped one counts as `ok`."""
    checks: tuple[Finding, ...]


def report(findings: Iterable[Finding]) -> Report:
    """Return the report of this version of moodwire."""
    checks = tuple(findings)
    return Report(version("moodwire"), worst(checks), checks)


def worst(findings: Iterable[Finding]) -> Result:
    """Return the worst result; a skipped check counts as `ok`."""
    results = {finding.result for finding in findings}
    return "fail" if "fail" in results else "warn" if "warn" in results else "ok"


def table(findings: Iterable[Finding]) -> str:
    """Return aligned lines for people: result, name and what was found, and below them what to do."""
    findings = list(findings)
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_word(finding.result)}  {finding.name:<{width}}  {finding.seen}")
        if finding.todo:
            lines.append(f"{'':4}  {'':<{width}}  -> {finding.todo}")
    return "\n".join(lines)


def print_report(report: Report, *, as_json: bool) -> int:
    """Print a report, and return the exit code: 1 if a check fails, else 0."""
    print(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else table(report.checks))
    return 1 if report.result == "fail" else 0


def _word(result: Result) -> str:
    word = f"{_WORDS[result]:<4}"
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ  # no-color.org
    return f"\x1b[{_COLOURS[result]}m{word}\x1b[0m" if coloured else word
