"""Real Valkey processes in three arrangements: one server, a Sentinel set, a Cluster."""

import contextlib
from pathlib import Path
from typing import Any, Protocol

import redis

from server.process.embedded import binary
from tests.processes import Process, Valkey, eventually, free_port

SERVICE = "vibe"
SLOTS = 16384
# A primary by default waits 5 s for more replicas before it serves the first.
REPLICATED = {"appendonly": "yes", "repl_diskless_sync_delay": "0"}


class Redis(Protocol):
    """A Redis to put a server on; `nodes` are its processes, primaries first."""

    url: str
    nodes: list[Valkey]

    def primaries(self) -> list["redis.Redis"]:
        """Clients of the present primaries."""


def value_of(primary: "redis.Redis", command: str, *args: str) -> Any:
    """One command, undecorated by redis-py."""
    return primary.execute_command(command, *args)


class OneServer:
    def __init__(self, folder: Path, **options: str) -> None:
        self.folder, self.options = folder, {"appendonly": "yes", **options}
        self.nodes = [Valkey(folder, **self.options)]
        self.url = self.nodes[0].url

    def primaries(self) -> list["redis.Redis"]:
        return [self.nodes[0].client]

    def restart(self) -> None:
        """Starts it again on its port and its append-only file."""
        self.nodes[0].popen.wait(10)
        self.nodes[0] = Valkey(self.folder, self.nodes[0].port, **self.options)

    def stop(self) -> None:
        self.nodes[0].stop()


class SentinelSet:
    """One primary, one replica, three Sentinels."""

    def __init__(self, folder: Path) -> None:
        primary = Valkey(folder / "0", **REPLICATED)
        replica = Valkey(folder / "1", replicaof=f"127.0.0.1 {primary.port}", **REPLICATED)
        self.nodes = [primary, replica]
        ports = [free_port() for _ in range(3)]
        self.sentinels = [_start_sentinel(folder, port, primary.port) for port in ports]
        self.clients = [redis.Redis(port=port, decode_responses=True) for port in ports]
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{p}" for p in ports) + f"/{SERVICE}"
        eventually(lambda: all(self._sees_all(client) for client in self.clients), 20)
        eventually(lambda: value_of(replica.client, "ROLE")[3] == "connected", 20)

    @staticmethod
    def _sees_all(client: "redis.Redis") -> bool:
        try:
            state = value_of(client, "SENTINEL MASTER", SERVICE)
        except redis.RedisError:
            return False
        fields = (
            state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        )
        return int(fields["num-slaves"]) == 1 and int(fields["num-other-sentinels"]) == 2

    def primary_port(self) -> int:
        return int(value_of(self.clients[0], "SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def primaries(self) -> list["redis.Redis"]:
        return [node.client for node in self.nodes if node.port == self.primary_port()]

    def stop(self) -> None:
        for process in [*self.sentinels, *self.nodes]:
            process.stop()


def _start_sentinel(folder: Path, port: int, primary_port: int) -> Process:
    config = folder / f"sentinel-{port}.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary_port} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} 1000\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    return Process([binary(), str(config), "--sentinel"], {}, folder / f"sentinel-{port}.out")


class ClusterSet:
    """Three primaries, three replicas."""

    def __init__(self, folder: Path) -> None:
        options = {**REPLICATED, "cluster_enabled": "yes", "cluster_node_timeout": "1500"}
        # By default a node's second port is 10,000 above its first, which may be no port at all.
        buses = [str(free_port()) for _ in range(6)]
        self.nodes = [
            Valkey(folder / str(n), cluster_port=bus, **options) for n, bus in enumerate(buses)
        ]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{n.port}" for n in self.nodes[:3])
        first = self.nodes[0]
        for node in self.nodes[1:]:
            value_of(node.client, "CLUSTER MEET", "127.0.0.1", str(first.port), buses[0])
        for number, node in enumerate(self.nodes[:3]):
            bounds = (SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
            value_of(node.client, "CLUSTER ADDSLOTSRANGE", *map(str, bounds))
        eventually(lambda: all(self._known(node) == 6 for node in self.nodes), 20)
        for primary, replica in zip(self.nodes[:3], self.nodes[3:], strict=True):
            eventually(lambda p=primary, r=replica: self._replicate(r, p), 20)  # type: ignore[misc]
        eventually(lambda: all(self._is_ready(node) for node in self.nodes), 30)

    @staticmethod
    def node_id(node: Valkey) -> str:
        return str(value_of(node.client, "CLUSTER MYID"))

    @staticmethod
    def _info(node: Valkey) -> dict[str, Any]:
        found = value_of(node.client, "CLUSTER INFO")
        if isinstance(found, dict):
            return found
        return dict(line.split(":", 1) for line in found.split())

    def _known(self, node: Valkey) -> int:
        return int(self._info(node)["cluster_known_nodes"])

    def _replicate(self, replica: Valkey, primary: Valkey) -> bool:
        with contextlib.suppress(redis.ResponseError):
            return bool(value_of(replica.client, "CLUSTER REPLICATE", self.node_id(primary)))
        return False

    def _is_ready(self, node: Valkey) -> bool:
        if self._info(node)["cluster_state"] != "ok":
            return False
        role = value_of(node.client, "ROLE")
        return bool(role[0] == "master" or role[3] == "connected")

    def primaries(self) -> list["redis.Redis"]:
        alive = [node for node in self.nodes if node.popen.poll() is None]
        return [node.client for node in alive if value_of(node.client, "ROLE")[0] == "master"]

    def begin_migration(self, source: Valkey, target: Valkey, slot: str) -> None:
        """From now on what the source no longer has is asked of the target."""
        for node, word, other in ((target, "IMPORTING", source), (source, "MIGRATING", target)):
            value_of(node.client, "CLUSTER SETSLOT", slot, word, self.node_id(other))

    @staticmethod
    def move_key(source: Valkey, target: Valkey, key: str) -> None:
        value_of(source.client, "MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")

    def end_migration(self, source: Valkey, target: Valkey, slot: str) -> None:
        """The slot is the target's, and all primaries know it."""
        rest = [node for node in self.nodes[:3] if node not in (source, target)]
        for node in (target, source, *rest):
            value_of(node.client, "CLUSTER SETSLOT", slot, "NODE", self.node_id(target))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
