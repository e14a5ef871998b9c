"""How much later a stream's first event is there than through a bare pass-through.

At a moderate load: so many streamed calls a second, one after the other, whatever became of those
before.
"""

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

import aiohttp

from tests.bench import table, users
from tests.bench.gateway import USERS, body_of_call, side_by_side
from tests.bench.load import LoadError

CALLS_PER_SECOND = 100
ROUNDS = 5
SECONDS = 3


def run(folder: Path) -> None:
    with side_by_side(folder) as (service, bare):
        path = f"/{service.api.tenant_id}/v1/chat/completions"
        urls = {"pass-through": bare.url + path, "vibe-server": service.server.url + path}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
        for number in range(ROUNDS + 1):
            for name, url in urls.items():
                delays = asyncio.run(_delays(url))
                if number:  # the first round opens the connections
                    found[name].append(delays)
    table.title(
        f"ms to the first event, {CALLS_PER_SECOND} streamed calls per second: median (min-max) of "
        f"{ROUNDS} rounds of {SECONDS} s"
    )
    table.row("", *urls)
    for column, label in enumerate(("half of the calls within", "99 of 100 within")):
        spreads = [[delays[column] for delays in rounds] for rounds in found.values()]
        bare_ms, ours_ms = map(median, spreads)
        note = f"{ours_ms - bare_ms:.1f} ms later"
        table.row(label, *(table.spread(values, 1) for values in spreads), note=note)


async def _delays(url: str) -> tuple[float, float]:
    """The median and the 99th percentile, in ms. Raises LoadError for any status but 200."""
    found: list[float] = []

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        headers = {"Authorization": f"Bearer {users.API_KEY % (number % USERS)}"}
        sent = time.perf_counter()
        async with session.post(url, data=body_of_call(stream=True), headers=headers) as reply:
            if reply.status != 200:
                raise LoadError(f"{url}: {reply.status}")
            await reply.content.readany()
            found.append((time.perf_counter() - sent) * 1000)
            await reply.read()

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as calls,
    ):
        begin = time.perf_counter()
        for number in range(CALLS_PER_SECOND * SECONDS):
            await asyncio.sleep(begin + number / CALLS_PER_SECOND - time.perf_counter())
            calls.create_task(call(session, number))
    return median(found), quantiles(found, n=100)[98]
