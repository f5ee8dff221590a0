"""Fuzzes what reads from outside: `python -m trials.fuzz` prints what was run, `… TARGET INPUTS [SEED]` runs more.

Inputs are valid ones, changed; a seed gives the same inputs again. Whatever a target raises is a failure, as is an
input that takes a second of the processor, or memory beyond 1 GiB. Inputs that fail are written into
`tests/fuzz/corpus/`, where a test takes each again; counts are added to `fuzz_counts.json`. The exit code is 1 after a
failure.
"""

import fcntl
import hashlib
import json
import logging
import random
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trials.fuzz_mutator import awkward, mutated
from trials.fuzz_targets import TARGETS, Target

COUNTS = Path(__file__).with_name("fuzz_counts.json")
CORPUS = Path(__file__).parent.parent / "tests" / "fuzz" / "corpus"
MOST_MEMORY = 1 << 30
SLOW_S = 1.0
FAILURES_KEPT = 20


def main() -> None:
    """Print the table, or run a target."""
    if len(sys.argv) == 1:
        _print_table()
        return
    name, inputs = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns() % 10**9
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (2 * MOST_MEMORY, 2 * MOST_MEMORY))  # half of it is libraries and stacks
    with contextmanager(TARGETS[name])() as target:
        found = run(target, name, inputs, seed)
    _add(name, found)
    print(f"{name}, seed {seed}: {found}")
    sys.exit(1 if found["failures"] else 0)


def run(target: Target, name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Give a target so many inputs, and return the counts."""
    rng = random.Random(seed)
    corpus = [
        *target.seeds,
        *(file.read_bytes() for file in sorted(CORPUS.glob(f"{name}-*")) if file.stat().st_size < 4096),
    ]
    accepted = failures = 0
    slowest_s, start_s = 0.0, time.perf_counter()
    for _ in range(inputs):
        data = rng.choice(corpus)
        is_json = target.is_json and rng.random() < 0.2
        data = awkward(data, rng) if is_json else mutated(data, corpus, rng)
        before_s = time.process_time()
        try:
            accepted += target.take(data)
            why = ""
        except Exception as error:  # noqa: BLE001 - whatever it is
            why = f"{type(error).__name__}: {error}"
        took_s = time.process_time() - before_s
        slowest_s = max(slowest_s, took_s)
        if why or took_s > SLOW_S:
            failures += 1
            _keep(name, data, why or f"took {took_s:.1f} s", failures)
    return {
        "inputs": inputs,
        "messages": target.given[0] if target.given else inputs,
        "accepted": accepted,
        "failures": failures,
        "slowest_ms": round(slowest_s * 1000, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds": round(time.perf_counter() - start_s),
    }


def _keep(name: str, data: bytes, why: str, failures: int) -> None:
    if failures <= FAILURES_KEPT:
        CORPUS.mkdir(parents=True, exist_ok=True)
        file = CORPUS / f"{name}-{hashlib.sha256(data).hexdigest()[:10]}"
        file.write_bytes(data)
        print(f"{file.name}: {why[:300]}", flush=True)


def _add(name: str, found: dict[str, Any]) -> None:
    """Add counts to the file; several processes may do so at a time."""
    with COUNTS.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        counts = json.loads(file.read() or "{}")
        known = counts.setdefault(name, {})
        for key, value in found.items():
            combine = max if key in {"slowest_ms", "memory_mb"} else sum
            known[key] = combine((known.get(key, 0), value))
        file.truncate(0)
        file.write(json.dumps(counts, indent=2, sort_keys=True) + "\n")


def _print_table() -> None:
    counts = json.loads(COUNTS.read_text())
    print(f"{'target':<12}{'inputs':>13}{'messages':>13}{'accepted':>12}{'failures':>10}{'slowest':>12}{'memory':>10}")
    for name in TARGETS:
        if name in counts:
            one = counts[name]
            messages = one.get("messages", one["inputs"])
            print(
                f"{name:<12}{one['inputs']:>13,}{messages:>13,}{one['accepted']:>12,}{one['failures']:>10}"
                f"{one['slowest_ms']:>9,.0f} ms{one['memory_mb']:>7} MB"
            )


if __name__ == "__main__":
    main()
