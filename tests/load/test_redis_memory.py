"""A worker's memory does not grow while callers call and Redis is away."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import httpx

from tests.api import Api, User
from tests.callers import Load
from tests.processes import Server, Valkey

CALLERS = 256
CALLS = 32 * CALLERS
"""In each state of Redis; the first of each caller has to wait for the timeout."""
MOST_KEPT = 128
"""Bytes for each call."""


async def call_on_and_on(load: Load, user: User, calls: int) -> Counter[int]:
    """How often the callers got which status, in so many calls."""
    left = iter(range(calls))
    seen: Counter[int] = Counter()

    async def caller() -> None:
        for _ in left:
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
            assert set(await call_on_and_on(load, user, 4 * CALLERS)) <= {200, 402}
            before = server.resident()
            for number in (signal.SIGSTOP, signal.SIGKILL):
                valkey.send_signal(number)
                assert await call_on_and_on(load, user, CALLS) == {503: CALLS}
            growth = server.resident() - before
        assert growth < MOST_KEPT * 2 * CALLS
