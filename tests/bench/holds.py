"""What hold + settle cost, beside charges that the same generator sends."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from tests.api import User
from tests.bench import table
from tests.bench.load import CONNECTIONS, LoadError, cpu_seconds
from tests.bench.service import Service, running

ROUNDS = 5
SECONDS = 3

Act = Callable[[aiohttp.ClientSession, str, User], Awaitable[int]]
"""Something that one user does; how many requests it took."""


def run(folder: Path) -> None:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    acts: dict[str, Act] = {"charge": _charge, "hold + settle": _hold_and_settle}
    with running(folder) as service:
        # A user for each connection: one user has at most 50 open holds.
        users = [service.api.login() for _ in range(CONNECTIONS)]
        for _ in range(ROUNDS):
            for label, act in acts.items():
                found[label].append(asyncio.run(_measure(service, users, act)))
    table.title(
        f"CPU of one request, us: median (min-max) of {ROUNDS} rounds of {SECONDS} s, by aiohttp"
    )
    table.row("", "server", "Redis")
    for label, costs in found.items():
        columns = [table.spread([cost[name] for cost in costs]) for name in ("server", "redis")]
        table.row(label, *columns)
    pairs = zip(found["hold + settle"], found["charge"], strict=True)
    # A hold and its settle are two requests.
    ratios = [2 * both["server"] / one["server"] for both, one in pairs]
    table.row("hold + settle / charge, in the server", table.spread(ratios, 2))


async def _measure(service: Service, users: list[User], act: Act) -> dict[str, float]:
    base = f"{service.server.url}/{service.api.tenant_id}"
    before = {name: cpu_seconds(pid) for name, pid in service.pids.items()}
    deadline = time.monotonic() + SECONDS

    async def client(session: aiohttp.ClientSession, user: User) -> int:
        requests = 0
        while time.monotonic() < deadline:
            requests += await act(session, base, user)
        return requests

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        total = sum(await asyncio.gather(*(client(session, user) for user in users)))
    return {
        name: (cpu_seconds(pid) - before[name]) / total * 1e6 for name, pid in service.pids.items()
    }


async def _charge(session: aiohttp.ClientSession, base: str, user: User) -> int:
    await _post(session, f"{base}/charges", user, {"tokens": 1})
    return 1


async def _hold_and_settle(session: aiohttp.ClientSession, base: str, user: User) -> int:
    made = await _post(session, f"{base}/holds", user, {"tokens": 5})
    await _post(session, f"{base}/holds/{made['holdId']}/settle", user, {"tokens": 3})
    return 2


async def _post(
    session: aiohttp.ClientSession, url: str, user: User, body: object
) -> dict[str, object]:
    async with session.post(url, json=body, headers=user.headers) as reply:
        if reply.status >= 300:
            raise LoadError(f"{url}: {reply.status}")
        value: dict[str, object] = await reply.json()
        return value
