"""The service as it is measured: one worker on a Valkey of its own, a tenant with rich users."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.api import Api, User, config
from tests.bench import users
from tests.bench.load import Load
from tests.processes import Server, Valkey

RICH = {"tokens": 10**12, "rate_limit": 10_000, "rate_limit_window": 1}
"""A group that no load exhausts."""


@dataclass(frozen=True)
class Service:
    valkey: Valkey
    server: Server
    api: Api

    @property
    def pids(self) -> dict[str, int]:
        """Of the processes whose CPU counts."""
        return {"server": self.server.worker_pids()[0], "redis": self.valkey.pid}

    def add_users(self, count: int) -> User:
        """Makes `count` users, numbered from 0; returns one more."""
        user = self.api.login()
        users.copy(self.valkey, user, count)
        return user

    def charges(self, count: int, base_url: str = "") -> Load:
        """Charges of random ones of the first `count` users, to another server if given."""
        url = f"{base_url or self.server.url}/{self.api.tenant_id}/charges"
        return Load(url, users.API_KEY, count)


@contextmanager
def running(
    folder: Path,
    group: dict[str, int] = RICH,
    redis: str = "",
    tenant: dict[str, Any] | None = None,
    **settings: str,
) -> Iterator[Service]:
    """A service whose users are of `group`; `redis`: another program than the bundled Valkey,
    `tenant`: another config."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Valkey(folder / "valkey", 0, redis) as valkey,
        Server(
            folder / "server.out", wait=True, REDIS_URL=valkey.url, WORKERS="1", **settings
        ) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield Service(valkey, server, Api.new_tenant(client, tenant or config(anonymous=group)))
