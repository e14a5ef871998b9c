"""A worker's memory does not grow while callers call and Redis is away."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.api import Api, User
from tests.load import Load
from tests.processes import Server, Valkey

CALLERS = 256
SECONDS = 3
MOST_GROWTH = 30 * 1024
"""KiB."""


def resident(pid: int) -> int:
    """The memory of a process, KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def call_on_and_on(load: Load, user: User, seconds: float) -> set[int]:
    """The statuses that the callers got."""
    end = time.monotonic() + seconds
    seen: set[int] = set()

    async def caller() -> None:
        while time.monotonic() < end:
            seen.add((await load.charge(user)).status)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return seen


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_memory_is_flat_while_redis_is_away(tmp_path: Path, number: signal.Signals) -> None:
    with (
        Valkey(tmp_path / "valkey") as valkey,
        Server(tmp_path / "out", REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        user = Api.new_tenant(client).login()
        (worker,) = server.worker_pids()
        async with Load(server.url, CALLERS) as load:
            assert await call_on_and_on(load, user, 1) == {200, 402}
            before = resident(worker)
            valkey.send_signal(number)
            try:
                seen = await call_on_and_on(load, user, SECONDS)
            finally:
                if number is signal.SIGSTOP:
                    valkey.send_signal(signal.SIGCONT)
            growth = resident(worker) - before
        assert 503 in seen
        assert seen <= {402, 503}
        print(f"{growth} KiB more after {SECONDS} s without Redis")
        assert growth < MOST_GROWTH
