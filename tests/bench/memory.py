"""What a user weighs in Redis who made ten charges, or ten calls to a provider."""

import asyncio
from pathlib import Path
from statistics import median

import aiohttp

from tests.api import GROUPS, User
from tests.bench import peers, table, users
from tests.bench.gateway import body_of_call
from tests.bench.load import CONNECTIONS, LoadError
from tests.bench.service import Service, running
from tests.endpoints import endpoint, text_config
from tests.processes import Valkey

USERS = 2_000
SAMPLED = 20
TIMES = 10
# The specified window of 60 s, in which all is spent and all is measured.
GROUP = {**GROUPS["anonymous"], "tokens": 10_000}
MOST_BYTES_WITH_LEDGER = 1_800


def run(folder: Path) -> None:
    with peers.upstream(folder) as upstream:
        tenant = text_config({"openai": endpoint(upstream.url)}, anonymous=GROUP)
        for what, path, body in (
            ("charges", "/charges", ""),
            ("provider calls", "/v1/chat/completions", body_of_call(stream=False)),
        ):
            with running(
                folder / path.rpartition("/")[2], tenant=tenant, ALLOW_PRIVATE_UPSTREAMS="1"
            ) as service:
                # Connections and buffers are not counted.
                asyncio.run(_make_users(service, CONNECTIONS, path, body))
                before = _used_memory(service.valkey)
                made = asyncio.run(_make_users(service, USERS, path, body))
                grown = (_used_memory(service.valkey) - before) / USERS
                sizes = [_sizes(service.valkey, user) for user in made[:: USERS // SAMPLED]]
            _print(what, sizes, grown)


async def _make_users(service: Service, count: int, path: str, body: str) -> list[User]:
    """Users who each logged in and spent ten times."""
    waiting = iter(range(count))
    made: list[User] = []

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in waiting:
            login = await _post(session, "/auth/anonymous", {}, "")
            user = User(service.api, login)
            for _ in range(TIMES):
                await _post(session, path, user.headers, body)
            made.append(user)

    async def _post(
        session: aiohttp.ClientSession, path: str, headers: dict[str, str], body: str
    ) -> dict[str, object]:
        url = f"{service.server.url}/{service.api.tenant_id}{path}"
        async with session.post(url, data=body, headers=headers) as reply:
            if reply.status != 200:
                raise LoadError(f"{path}: {reply.status}")
            value: dict[str, object] = await reply.json()
            return value

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(CONNECTIONS)))
    return made


def _used_memory(valkey: Valkey) -> int:
    return int(valkey.client.info("memory")["used_memory"])


def _sizes(valkey: Valkey, user: User) -> dict[str, int]:
    """Bytes of each key of a user, by its name with the IDs left out."""
    keys = users.keys_of(valkey, user)
    sizes = [int(valkey.client.memory_usage(key, samples=0) or 0) for key in keys]
    found: dict[str, int] = {}
    for key, size in zip(keys, sizes, strict=True):
        name = key.replace(user.user_id, "<id>").replace(user.api_key, "<key>")
        if ":settled:" in name:
            name = name.rpartition(":")[0] + ":<hold>, all"
        found[name] = found.get(name, 0) + size
    return found


def _print(what: str, found: list[dict[str, int]], grown: float) -> None:
    names = list(found[0])
    table.title(f"Bytes in Redis of a user who made {TIMES} {what}: median (min-max)")
    for name in names:
        table.row(name, table.spread([sizes[name] for sizes in found]))
    # The login's grant; a call has one entry for its hold and one for its settle.
    entries = 1 + TIMES * (1 if what == "charges" else 2)
    for name in (name for name in names if name.endswith(":ledger")):
        each = [sizes[name] / entries for sizes in found]
        table.row("of the ledger, for each entry", table.spread(each))
    totals = [sum(sizes.values()) for sizes in found]
    note = table.limit(totals, MOST_BYTES_WITH_LEDGER) if what == "charges" else ""
    table.row("all keys, MEMORY USAGE", table.spread(totals), note=note)
    table.row(f"used_memory grown by, for each of {USERS:,}", f"{grown:,.0f}")
    assert median(totals) > 0
