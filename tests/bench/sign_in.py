"""What signing in with an ID token costs, beside an anonymous login and a charge."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from tests.api import User, config
from tests.bench import table
from tests.bench.load import LoadError, cpu_seconds
from tests.bench.service import RICH, Service, running
from tests.doubles.sign_in import SignInDouble

ROUNDS = 5
SECONDS = 2
PEOPLE = 32
CLIENT_ID = "bench"
CHARGE, ANONYMOUS = "charge", "anonymous login"
OWN, OTHER = "sign in, the user's own device", "sign in, another device"
MOST_MS = 1.0

Act = Callable[[aiohttp.ClientSession, str, User, str], Awaitable[None]]
"""Something that one person does: its user and its ID token."""


def run(folder: Path) -> None:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    acts: dict[str, Act] = {
        CHARGE: _charge,
        ANONYMOUS: _log_in,
        OWN: _sign_in_again,
        OTHER: _sign_in_elsewhere,
    }
    auth = {"google_oauth": {"client_id": CLIENT_ID}}
    tenant = config(anonymous=RICH, google_logged_in=RICH) | {"auth": auth}
    with SignInDouble() as double, running(folder, RICH, "", tenant, **double.settings) as service:
        tokens = [double.google.token(aud=CLIENT_ID, sub=f"sub-{n}") for n in range(PEOPLE)]
        users = [service.api.login() for _ in tokens]
        people = list(zip(users, tokens, strict=True))
        for act in acts.values():
            asyncio.run(_measure(service, people, act))
        for _ in range(ROUNDS):
            for label, act in acts.items():
                found[label].append(asyncio.run(_measure(service, people, act)))
    _print(found)


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    table.title(
        f"CPU of one request, us: median (min-max) of {ROUNDS} rounds of {SECONDS} s, by aiohttp"
    )
    table.row("", "server", "Redis")
    for label, costs in found.items():
        columns = [table.spread([cost[name] for cost in costs]) for name in ("server", "redis")]
        table.row(label, *columns)
    for label in (OWN, OTHER):
        for other in (CHARGE, ANONYMOUS):
            pairs = zip(found[label], found[other], strict=True)
            ratios = [one["server"] / beside["server"] for one, beside in pairs]
            table.row(f"{label} / {other}", table.spread(ratios, 1))
        ms = [cost["server"] / 1_000 for cost in found[label]]
        table.row(f"{label}, ms", table.spread(ms, 2), note=table.limit(ms, MOST_MS))


async def _measure(service: Service, people: list[tuple[User, str]], act: Act) -> dict[str, float]:
    base = f"{service.server.url}/{service.api.tenant_id}"
    before = {name: cpu_seconds(pid) for name, pid in service.pids.items()}
    deadline = time.monotonic() + SECONDS

    async def client(session: aiohttp.ClientSession, user: User, token: str) -> int:
        requests = 0
        while time.monotonic() < deadline:
            await act(session, base, user, token)
            requests += 1
        return requests

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        total = sum(await asyncio.gather(*(client(session, *person) for person in people)))
    return {
        name: (cpu_seconds(pid) - before[name]) / total * 1e6 for name, pid in service.pids.items()
    }


async def _charge(session: aiohttp.ClientSession, base: str, user: User, token: str) -> None:
    await _post(session, f"{base}/charges", {"tokens": 1}, user)


async def _log_in(session: aiohttp.ClientSession, base: str, user: User, token: str) -> None:
    await _post(session, f"{base}/auth/anonymous")


async def _sign_in_again(session: aiohttp.ClientSession, base: str, user: User, token: str) -> None:
    await _post(session, f"{base}/auth/google", {"idToken": token}, user)


async def _sign_in_elsewhere(
    session: aiohttp.ClientSession, base: str, user: User, token: str
) -> None:
    """As a device that has no key yet, of a user that soon has 20."""
    await _post(session, f"{base}/auth/google", {"idToken": token})


async def _post(
    session: aiohttp.ClientSession, url: str, body: object = None, user: User | None = None
) -> None:
    headers = user.headers if user else {}
    async with session.post(url, json=body, headers=headers) as reply:
        if reply.status != 200:
            raise LoadError(f"{url}: {reply.status}")
        await reply.read()
