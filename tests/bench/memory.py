"""What a user who made ten charges weighs in Redis."""

import asyncio
from pathlib import Path
from statistics import median

import aiohttp

from tests.api import GROUPS, User
from tests.bench import table, users
from tests.bench.load import CONNECTIONS, LoadError
from tests.bench.service import Service, running
from tests.processes import Valkey

USERS = 2_000
SAMPLED = 20
CHARGES = 10
MOST_BYTES = 1_000
MOST_BYTES_WITH_LEDGER = 1_800


def run(folder: Path) -> None:
    # The specified window of 60 s, in which all charges are made and all is measured.
    with running(folder, GROUPS["anonymous"]) as service:
        asyncio.run(_make_users(service, CONNECTIONS))  # connections and buffers are not counted
        before = _used_memory(service.valkey)
        made = asyncio.run(_make_users(service, USERS))
        grown = (_used_memory(service.valkey) - before) / USERS
        sizes = [_sizes(service.valkey, user) for user in made[:: USERS // SAMPLED]]
    _print(sizes, grown)


async def _make_users(service: Service, count: int) -> list[User]:
    """Users who each logged in and made ten charges."""
    waiting = iter(range(count))
    made: list[User] = []

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in waiting:
            login = await _post(session, "/auth/anonymous", {})
            user = User(service.api, login)
            for _ in range(CHARGES):
                await _post(session, "/charges", user.headers)
            made.append(user)

    async def _post(
        session: aiohttp.ClientSession, path: str, headers: dict[str, str]
    ) -> dict[str, object]:
        url = f"{service.server.url}/{service.api.tenant_id}{path}"
        async with session.post(url, headers=headers) as reply:
            if reply.status != 200:
                raise LoadError(f"{path}: {reply.status}")
            body: dict[str, object] = await reply.json()
            return body

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(CONNECTIONS)))
    return made


def _used_memory(valkey: Valkey) -> int:
    return int(valkey.client.info("memory")["used_memory"])


def _sizes(valkey: Valkey, user: User) -> dict[str, int]:
    """Bytes of each key of a user, by its name with the IDs left out."""
    keys = users.keys_of(valkey, user)
    sizes = [int(valkey.client.memory_usage(key, samples=0) or 0) for key in keys]
    names = [key.replace(user.user_id, "<id>").replace(user.api_key, "<key>") for key in keys]
    return dict(zip(names, sizes, strict=True))


def _print(found: list[dict[str, int]], grown: float) -> None:
    names = list(found[0])
    most = MOST_BYTES_WITH_LEDGER if any("ledger" in name for name in names) else MOST_BYTES
    table.title(f"Bytes in Redis of a user who made {CHARGES} charges: median (min-max)")
    for name in names:
        table.row(name, table.spread([sizes[name] for sizes in found]))
    entries = CHARGES + 1  # the login's grant
    for name in (name for name in names if name.endswith(":ledger")):
        each = [sizes[name] / entries for sizes in found]
        table.row("of the ledger, for each entry", table.spread(each))
    totals = [sum(sizes.values()) for sizes in found]
    table.row("all keys, MEMORY USAGE", table.spread(totals), note=table.limit(totals, most))
    table.row(f"used_memory grown by, for each of {USERS:,}", f"{grown:,.0f}")
    assert median(totals) > 0
