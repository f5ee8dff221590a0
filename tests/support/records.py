"""Records as a device sends them."""

from typing import Any

from broker.messages import Health, Heard, Reading, Status

DEVICE = "0123456789ab"
BOOT = "00000000000000aa"
OTHER_BOOT = "00000000000000bb"
DAY_MS = 86_400_000


def reading(seq: int, at: int, **changes: Any) -> Reading:
    """Return an ordinary reading with changes."""
    fields = {
        "boot": BOOT,
        "gen": 0,
        "span_ms": 3000,
        "state": "speech",
        "scores": {"ANG": 0.7, "HAP": 0.2, "NEU": 0.1},
        "level_dbfs": -23.0,
        "model": "ang-hap-neu-1",
        "clock_synced": True,
    }
    return Reading(seq=seq, at=at, **(fields | changes))


def heard(seq: int, at: int, **changes: Any) -> Heard:
    """Return a heard record of one silent minute with changes."""
    fields = {
        "boot": BOOT,
        "gen": 0,
        "span_ms": 60_000,
        "windows": 60,
        "silent": 60,
        "speech": 0,
        "uncertain": 0,
        "dropped": 0,
        "level_dbfs": -60.0,
        "clipping": 0.0,
    }
    return Heard(seq=seq, at=at, **(fields | changes))


def status(**changes: Any) -> Status:
    """Return the status of an online device called Kitchen with changes."""
    fields = {
        "state": "online",
        "boot": BOOT,
        "connection": 1,
        "name": "Kitchen",
        "labels": ("ANG", "HAP", "NEU"),
        "model": "ang-hap-neu-1",
        "version": "0.1.0",
    }
    return Status(**(fields | changes))


def health(**changes: Any) -> Health:
    """Return the health of a healthy device with changes."""
    fields = {
        "boot": BOOT,
        "inference_p50_ms": 0.5,
        "inference_p95_ms": 0.6,
        "cpu_ratio": 0.003,
        "rss_bytes": 77_000_000,
        "temperature_c": None,
        "outbox_rows": 0,
        "outbox_oldest_age_s": 0.0,
        "dropped": 0,
        "source": "USB Audio",
        "clock_synced": True,
    }
    return Health(**(fields | changes))
