"""What `moodwire server doctor` finds out, and how it is told to people and to machines."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Result = Literal["ok", "warn", "fail", "skip"]


class Finding(msgspec.Struct, frozen=True):
    """One check and its result."""

    name: str
    """Stable: machines look for it."""
    result: Result
    """`warn`: the server works, but not as well as it could; `skip`: it could not be found out."""
    seen: str
    """One sentence."""
    todo: str = ""
    """One sentence; empty where there is nothing to do."""


class Report(msgspec.Struct, frozen=True):
    """All findings, as `--json` prints them."""

    version: str
    result: Result
    """The worst one; a skipped check counts as `ok`."""
    checks: Sequence[Finding]


def worst(findings: Iterable[Finding]) -> Result:
    """Return the worst result, `ok` at best."""
    results = {finding.result for finding in findings}
    return "fail" if "fail" in results else "warn" if "warn" in results else "ok"


def table(findings: Sequence[Finding]) -> str:
    """Return aligned lines for people: result, name and what is seen, and below it what to do."""
    words = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skip": "-"}
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{words[finding.result]:<4}  {finding.name:<{width}}  {finding.seen}")
        if finding.todo:
            lines.append(f"{'':4}  {'':<{width}}  -> {finding.todo}")
    return "\n".join(lines)
