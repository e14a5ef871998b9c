"""What the tests of buying need of each arrangement of Redis: a client for all keys, and a way to
fail."""

import signal
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel

from tests.faults.topologies import SERVICE, ClusterSet, OneServer, SentinelSet
from tests.processes import eventually

Arrangement = OneServer | SentinelSet | ClusterSet


class _Client(RedisCluster):
    def time(self, *_: Any, **__: Any) -> Any:
        """Of one of them."""
        return self.get_redis_connection(self.get_primaries()[0]).time()


class Stored:
    """As a Valkey to who reads and ages what is stored: whichever process has it now."""

    def __init__(self, made: Arrangement) -> None:
        self.url = made.url
        self._made = made
        self._cluster: Any = None
        if isinstance(made, ClusterSet):
            self._cluster = _Client(
                host="127.0.0.1", port=made.nodes[1].port, decode_responses=True
            )
        elif isinstance(made, SentinelSet):
            ports = [
                ("127.0.0.1", client.get_connection_kwargs()["port"]) for client in made.clients
            ]
            self._sentinel = Sentinel(ports, decode_responses=True)

    @property
    def client(self) -> Any:
        if isinstance(self._made, OneServer):
            return self._made.nodes[0].client
        if isinstance(self._made, SentinelSet):
            return self._sentinel.master_for(SERVICE, decode_responses=True)
        return self._cluster


def fail(made: Arrangement) -> None:
    """A process of it dies, and what is left serves again."""
    if isinstance(made, OneServer):
        made.nodes[0].send_signal(signal.SIGKILL)
        made.restart()
    elif isinstance(made, SentinelSet):
        old = made.primary_port()
        made.nodes[0].send_signal(signal.SIGKILL)
        eventually(lambda: made.primary_port() != old, 30)
    else:
        made.nodes[0].send_signal(signal.SIGKILL)
        eventually(lambda: _is_primary(made.nodes[3].client), 30)


def _is_primary(client: "redis.Redis") -> bool:
    answer: Any = client.execute_command("ROLE")
    return bool(answer[0] == "master")
