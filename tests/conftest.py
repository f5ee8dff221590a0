"""Fixtures that several rooms' tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import BROKERS, RunningBroker, running_broker
from clusters import RunningCluster, running_cluster
from hypothesis import settings
from services import STORES, RunningStore, running_store

# How long an example takes says more about the machine, which is shared, than about the code.
settings.register_profile("moodwire", deadline=None)
settings.load_profile("moodwire")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that look at the page in a browser, so that `-m "not browser"` finds them."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session", params=[*STORES, pytest.param("cluster", marks=pytest.mark.slow)])
def any_store_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStore | RunningCluster]:
    """Run each kind of store that we support, one after the other."""
    folder = tmp_path_factory.mktemp("store")
    with running_cluster(folder) if request.param == "cluster" else running_store(folder, request.param) as store:
        yield store


@pytest.fixture
def any_store(any_store_process: RunningStore | RunningCluster) -> RunningStore | RunningCluster:
    """Return an empty store of each kind."""
    any_store_process.client.flushall()
    return any_store_process


@pytest.fixture(scope="session")
def store_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """Run one store for tests that do not care which."""
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def redis_store(store_process: RunningStore) -> RunningStore:
    """Return an empty store for tests that do not care which."""
    store_process.client.flushall()
    return store_process


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """Run each kind of broker that we support, one after the other."""
    with running_broker(tmp_path / "broker", request.param) as broker:
        yield broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run one broker for tests that do not care which."""
    with running_broker(tmp_path / "broker") as broker:
        yield broker
