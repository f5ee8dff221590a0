"""A real Redis Cluster of three nodes on loopback, each in a folder of its own, stopped by their process ids."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis
from brokers import free_port
from redis.cluster import RedisCluster
from services import wait_until

from server.store.embedded import store_command

NODES = 3
SLOTS = 16_384


class RunningCluster:
    """Three primaries without replicas that share the slots."""

    def __init__(self, folder: Path) -> None:
        self.name = "Redis Cluster of three"
        self._processes: list[subprocess.Popen[bytes]] = []
        ports, buses = [free_port() for _ in range(NODES)], [free_port() for _ in range(NODES)]
        for port, bus in zip(ports, buses, strict=True):
            start = store_command(folder / str(port))
            options = ["--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--unixsocket", ""]
            options += ["--cluster-port", str(bus), "--cluster-node-timeout", "5000"]
            with (folder / f"{port}.log").open("ab") as log:
                self._processes.append(subprocess.Popen([*start.argv, *options], stdout=log, stderr=log))
        self.ports, self._buses = ports, buses
        self.url = f"cluster+redis://127.0.0.1:{ports[0]}"

    def join(self) -> None:
        """Join the three nodes to a cluster."""
        ports, buses = self.ports, self._buses
        nodes = [redis.Redis(port=port) for port in ports]
        for number, node in enumerate(nodes):
            wait_until(lambda node=node: _answers(node), f"the node on port {ports[number]} answers")
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port, bus in list(zip(ports, buses, strict=True))[1:]:
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        for node in nodes:
            wait_until(lambda node=node: b"cluster_state:ok" in _state(node), "each node knows the cluster")
            wait_until(lambda node=node: b"cluster_known_nodes:3" in _state(node), "each node knows the others")
            node.close()
        self.client: Any = RedisCluster(host="127.0.0.1", port=ports[0])
        self.client.keys = partial(self.client.keys, target_nodes=RedisCluster.PRIMARIES)  # on all nodes

    def stop(self) -> None:
        """Stop the nodes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


@contextmanager
def running_cluster(folder: Path) -> Iterator[RunningCluster]:
    """Run a cluster in a folder while the context lasts."""
    cluster = RunningCluster(folder)
    try:
        cluster.join()
        yield cluster
        cluster.client.close()
    finally:
        cluster.stop()


def _answers(node: Any) -> bool:
    try:
        return bool(node.ping())
    except redis.RedisError:
        return False


def _state(node: Any) -> bytes:
    found: bytes = node.execute_command("CLUSTER", "INFO")
    return found if isinstance(found, bytes) else repr(found).replace("'", "").replace(": ", ":").encode()
