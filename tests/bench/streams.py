"""What an open stream weighs in the worker that passes it on."""

import asyncio
from pathlib import Path

import aiohttp
import orjson

from tests.api import User
from tests.bench import table
from tests.bench.load import LoadError
from tests.bench.service import RICH, Service, running
from tests.bench.throughput import memory_mb
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config

STREAMS = 1_000
STREAMS_PER_USER = 25


def run(folder: Path) -> None:
    with Double() as double:
        answer = Answer(pieces=["word "] * 50, stop_at=25)
        prompts = {key: double.script(key, answer) for key in ("warm-up", "measured")}
        tenant = text_config({"openai": endpoint(double.url)}, anonymous=RICH)
        with running(folder, tenant=tenant, ALLOW_PRIVATE_UPSTREAMS="1") as service:
            users = [service.api.login() for _ in range(STREAMS // STREAMS_PER_USER)]
            # What an allocator keeps after the first streams is not counted.
            weights = [
                asyncio.run(_weigh(service, double, users, key, prompt))
                for key, prompt in prompts.items()
            ]
    table.title(f"Memory (PSS) of a worker with {STREAMS:,} open streams")
    for key, (before, during) in zip(prompts, weights, strict=True):
        table.row(f"{key}: MB before and during", f"{before:.0f}", f"{during:.0f}")
    each = (max(during for _, during in weights) - weights[0][0]) / STREAMS * 1024
    table.row("for each stream, KB", f"{each:.0f}")


async def _weigh(
    service: Service, double: Double, users: list[User], key: str, prompt: str
) -> tuple[float, float]:
    """MB before the streams and while they are open. Raises LoadError."""
    url = f"{service.server.url}/{service.api.tenant_id}/v1/chat/completions"
    messages = [{"role": "user", "content": prompt}]
    body = orjson.dumps({"model": "openai-model", "messages": messages, "stream": True})
    before = memory_mb(service.pids["server"])
    opened = asyncio.Semaphore(0)

    async def stream(session: aiohttp.ClientSession, user: User) -> None:
        async with session.post(url, data=body, headers=user.headers) as reply:
            if reply.status != 200:
                raise LoadError(f"{url}: {reply.status}")
            await reply.content.readline()
            opened.release()
            await reply.read()

    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as streams,
    ):
        for user in users:
            for _ in range(STREAMS_PER_USER):
                streams.create_task(stream(session, user))
        for _ in range(STREAMS):
            await opened.acquire()
        during = memory_mb(service.pids["server"])
        double.release(key)
    return before, during
