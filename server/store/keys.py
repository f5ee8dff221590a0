"""The names of all keys in Redis. The functions in Lua spell those of a device again.

All keys of a device share the hash tag of `mw:{<id>}`, so that a Redis Cluster keeps them on one node:

| key                  | type   | what                                                                              |
|----------------------|--------|-----------------------------------------------------------------------------------|
| `mw:{id}`            | hash   | generation, counts, times, latest reading, and what the device says of itself     |
| `…:boots`            | hash   | boot → index, first and last time and arrival, records, lowest and highest number |
| `…:seen:<i>:<page>`  | bitmap | which of 4,096 sequence numbers of the boot with that index are stored            |
| `…:pages`            | zset   | which pages there are: index · 16,384 + page                                      |
| `…:page_days`        | zset   | the last day of the records of each page                                          |
| `…:schemas`          | hash   | model, span and labels → number of that schema                                    |
| `…:r:<hour>`         | list   | readings of one hour, as they came: offset, flags, schema, level, scores          |
| `…:open`             | list   | up to 63 readings that are not yet in the rollups; whoever reads adds them        |
| `…:m:`, `:h:`, `:d:` | hash   | minutes of one hour, hours of one day, days of 64: slot and schema → rollup       |
| `…:heard:<chunk>`    | list   | heard records of 6 h                                                              |
| `…:days`             | zset   | days that hold anything                                                           |
| `…:record_days`      | zset   | those that may hold readings or heard records                                     |
| `…:events`           | stream | online, offline, paused                                                           |
| `…:orders`           | hash   | expires; commands of the last hour: transaction → what, where it was sent, answer |
| `mw:layout`          | string | the number of the layout                                                          |
| `mw:devices`         | zset   | every device id ever met                                                          |
| `mw:jobs`            | stream | erasures that the broker has not taken for their devices                          |
| `mw:retention`       | hash   | what sweeps have done, and which devices' keys no longer expire                   |
| `mw:erased`          | string | exists while the append-only file has something that was erased                   |
| `mw:rewritten`       | string | expires; exists after the file was rewritten for that reason                      |
| `mw:orders`          | stream | commands that are neither answered nor expired                                    |
| `mw:live`            | stream | expires; readings and statuses of the last two minutes, by batch                  |
| `mw:ingest`          | string | expires; exists while ingest runs; what it says of itself                         |
| `mw:ingest:<name>`   | string | the same for the ingest with this account at the broker                           |
| `mw:written`         | hash   | outcome → records that ended so, for the metrics                                  |
| `mw:alerts`          | hash   | device and rule → whether an alert is raised, and when it was                     |
| `mw:alerts:rules`    | string | expires; the rules that are evaluated, as JSON                                    |
| `mw:access`          | hash   | name → role and SHA-256 of a bearer token                                         |
| `mw:access:used`     | hash   | name of a token → the hour of its last use                                        |

Redis expires keys by its own clock, which may jump. So nothing that was accepted expires; `retention` deletes it. Keys
that do expire say what is true now and are written again (`mw:ingest`, `mw:alerts:rules`), are news for those who are
connected, and in the store beside (`mw:live`), are of commands that wait for five minutes at most (`…:orders`), or let
the file be rewritten once too often (`mw:rewritten`).
"""

LAYOUT_VERSION = 3
"""Another number means other keys or other bytes; names of functions carry it, too."""
READABLE_LAYOUTS = (2, LAYOUT_VERSION)
"""Layout 2 has all numbers of a boot in one bitmap, `…:seen:<index>`; the boot's next record divides it into pages."""
LAYOUT = "mw:layout"
DEVICES = "mw:devices"
ERASURES = "mw:jobs"
RETENTION = "mw:retention"
ERASED = "mw:erased"
REWRITTEN = "mw:rewritten"
COMMANDS = "mw:orders"
LIVE = "mw:live"
HEARTBEAT = "mw:ingest"
WRITTEN = "mw:written"
ALERTS = "mw:alerts"
ALERT_RULES = "mw:alerts:rules"
TOKENS = "mw:access"
TOKENS_USED = "mw:access:used"

HOUR_MS = 3_600_000
"""Range of one key of readings."""
HEARD_CHUNK_MS = 21_600_000
"""Range of one key of heard records."""
DAY_MS = 86_400_000


def heartbeat(account: str) -> str:
    """Return the key of the heartbeat of the ingest with an account."""
    return f"{HEARTBEAT}:{account}"


def base(device: str) -> str:
    """Return the key of a device's hash, which is the prefix of all its keys."""
    return f"mw:{{{device}}}"


def boots(device: str) -> str:
    """Return the key of a device's boots."""
    return f"{base(device)}:boots"


def pages(device: str) -> str:
    """Return the key of the list of a device's pages of sequence numbers."""
    return f"{base(device)}:pages"


def seen(device: str, index: int, page: int | None) -> str:
    """Return the key of a page of a boot's sequence numbers, or of the one bitmap that a boot of layout 2 has."""
    return f"{base(device)}:seen:{index}" + (f":{page}" if page is not None else "")


def page_days(device: str) -> str:
    """Return the key of the last days of the records of a device's pages."""
    return f"{base(device)}:page_days"


def schemas(device: str) -> str:
    """Return the key of a device's schemas."""
    return f"{base(device)}:schemas"


def readings(device: str, hour: int) -> str:
    """Return the key of the readings of one hour since 1970."""
    return f"{base(device)}:r:{hour}"


def open_readings(device: str) -> str:
    """Return the key of the readings that are not yet in the rollups."""
    return f"{base(device)}:open"


def rollups(device: str, resolution: str, number: int) -> str:
    """Return the key of the rollups of one range of a resolution: `m`, `h` or `d`."""
    return f"{base(device)}:{resolution}:{number}"


def heard(device: str, chunk: int) -> str:
    """Return the key of the heard records of one chunk since 1970."""
    return f"{base(device)}:heard:{chunk}"


def days(device: str) -> str:
    """Return the key of the days that hold anything of a device."""
    return f"{base(device)}:days"


def events(device: str) -> str:
    """Return the key of a device's events."""
    return f"{base(device)}:events"


def commands(device: str) -> str:
    """Return the key of a device's commands of the last hour."""
    return f"{base(device)}:orders"


def library(version: int = LAYOUT_VERSION) -> str:
    """Return the name of the library of a layout's functions."""
    return f"moodwire_{version}"


def function(name: str) -> str:
    """Return the full name of one of the store's functions."""
    return f"mw{LAYOUT_VERSION}_{name}"
