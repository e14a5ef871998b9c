"""A worker's memory does not grow while callers call and Redis is away."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.api import Api, User
from tests.callers import Load
from tests.processes import Server, Valkey

CALLERS = 256
SECONDS = 1.5
MOST_KEPT = 1024
"""Bytes for each call."""


async def call_on_and_on(load: Load, user: User, seconds: float) -> Counter[int]:
    """How often the callers got which status."""
    end = time.monotonic() + seconds
    seen: Counter[int] = Counter()

    async def caller() -> None:
        while time.monotonic() < end:
            seen[(await load.charge(user)).status] += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return seen


async def test_memory_is_flat_while_redis_is_away(tmp_path: Path) -> None:
    """First stalled, then gone."""
    with (
        Valkey(tmp_path / "valkey") as valkey,
        Server(tmp_path / "out", REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        user = Api.new_tenant(client).login()
        async with Load(server.url, CALLERS) as load:
            assert set(await call_on_and_on(load, user, 0.5)) <= {200, 402}
            before, calls = server.resident(), 0
            for number in (signal.SIGSTOP, signal.SIGKILL):
                valkey.send_signal(number)
                refused = await call_on_and_on(load, user, SECONDS)
                assert set(refused) == {503}
                calls += refused.total()
            growth = server.resident() - before
        print(f"{growth} bytes more after {calls} calls without Redis")
        assert calls > 4 * CALLERS  # the first of each have to wait for the timeout
        assert growth < MOST_KEPT * calls
