"""A large fleet loses its broker at once, simulated: `python -m trials.reconnect_simulation [devices] [a second]`.

Each waits between its tries as `device/delivery/connection.py` does (full jitter, 5 s doubling up to 60 s). The broker
serves so many connections a second, one after the other, by default 1,000 of 10,000 devices. A device gives up after a
while, as paho does, and the broker has then worked in vain: a herd that comes too fast keeps itself out.
"""

import heapq
import random
import sys
from collections import Counter
from typing import NamedTuple

from common.backoff import Backoff
from device.delivery.connection import CONNECT_TIMEOUT_S, FIRST_RECONNECT_S, LONGEST_RECONNECT_S

PATIENCE_S, TLS_PATIENCE_S = 60.0, CONNECT_TIMEOUT_S
"""How long paho waits for CONNACK, its keepalive; and for each step of a TLS handshake."""
AWAY_S = (0, 1, 5, 30, 120, 600)
"""How long the broker is away."""


class Return(NamedTuple):
    """How a fleet comes back; times in seconds from the broker's return."""

    most_tries_per_s: int
    most_connects_per_s: int
    half_s: float
    """Until half of the devices are connected."""
    all_s: float
    """Until all are."""


def main() -> None:
    """Print how a fleet comes back after outages of several lengths."""
    devices, per_s = (int(word) for word in (*sys.argv[1:], *("10000", "1000")[len(sys.argv) - 1 :]))
    print(f"{devices:,} devices; the broker serves {per_s} connections a second")
    print("  away  most tries a second  most connects a second  half are back  all are back  with TLS")
    for away_s in AWAY_S:
        plain, tls = (simulate(devices, away_s, per_s, patience_s) for patience_s in (PATIENCE_S, TLS_PATIENCE_S))
        print(
            f"{away_s:>4} s {plain.most_tries_per_s:>20,} {plain.most_connects_per_s:>23,}"
            f" {plain.half_s:>12.0f} s {plain.all_s:>11.0f} s {tls.all_s:>7.0f} s"
        )


def simulate(devices: int, away_s: float, per_s: float, patience_s: float, seed: int = 1) -> Return:
    """Return how devices come back that lost their broker for so long.

    Args:
        devices: How many.
        away_s: How long every try fails at once.
        per_s: Connections that the broker serves in a second.
        patience_s: How long a device waits for the broker.
        seed: Of the jitter.
    """
    random.seed(seed)
    waits = [Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S, least=0) for _ in range(devices)]
    tries = [(wait.next_s(), number) for number, wait in enumerate(waits)]
    heapq.heapify(tries)
    tries_in, connects_in, connected_s = Counter[int](), Counter[int](), []
    free_s = away_s
    while tries:
        at_s, number = heapq.heappop(tries)
        failed_s = at_s
        if at_s >= away_s:
            tries_in[int(at_s - away_s)] += 1
            free_s = max(free_s, at_s) + 1 / per_s
            if free_s <= at_s + patience_s:
                connects_in[int(free_s - away_s)] += 1
                connected_s.append(free_s - away_s)
                continue
            failed_s = at_s + patience_s
        heapq.heappush(tries, (failed_s + waits[number].next_s(), number))
    connected_s.sort()
    return Return(max(tries_in.values()), max(connects_in.values()), connected_s[devices // 2], connected_s[-1])


if __name__ == "__main__":
    main()
