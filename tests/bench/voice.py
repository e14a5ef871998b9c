"""What a message of a session of voice costs, beside a relay that reads none; how late it is."""

import asyncio
import base64
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from tests.api import User
from tests.bench import table
from tests.bench.load import cpu_seconds
from tests.bench.peers import Peer
from tests.bench.service import RICH, running
from tests.bench.throughput import memory_mb
from tests.bench.voice_upstream import PERIOD
from tests.endpoints import voice_config

SESSIONS = 40
SESSIONS_PER_USER = 5
ROUNDS = 3
SECONDS = 3
MOST_RATIO = 1.3
MOST_DELAY_MS = 1.0
_UP = orjson.dumps(
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(960)).decode()}
).decode()
"""1.3 KB: 20 ms."""


def run(folder: Path) -> None:
    with Peer(_module("voice_upstream"), folder / "upstream.out") as upstream:
        url = f"{upstream.url.replace('http', 'ws', 1)}/v1/realtime"
        tenant = voice_config(upstream.url, RICH["tokens"], max_output=1_000_000, context=1)
        with (
            Peer(_module("voice_bare", url), folder / "bare.out") as bare,
            running(folder, tenant=tenant, ALLOW_PRIVATE_UPSTREAMS="1") as service,
        ):
            ours = f"{service.server.url.replace('http', 'ws', 1)}/{service.api.tenant_id}"
            users = [service.api.login() for _ in range(SESSIONS // SESSIONS_PER_USER)]
            pid = service.pids["server"]
            ways = {
                "direct": (url, upstream.pid),
                "bare": (bare.url.replace("http", "ws", 1), bare.pid),
                "ours": (f"{ours}/v1/realtime", pid),
            }
            found: dict[str, list[tuple[float, float]]] = defaultdict(list)
            weights = []
            for _ in range(ROUNDS):
                for name, (where, measured) in ways.items():
                    costs, delay, memory = uvloop.run(_round(where, users, measured, pid))
                    found[name].append((costs, delay))
                    if name == "ours":
                        weights.append(memory)
    _print(found, median(weights) / SESSIONS * 1024)


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{name}", "PORT", *arguments]


async def _round(url: str, users: list[User], measured: int, weighed: int) -> tuple[float, ...]:
    """CPU a message, us; the median of the delays of messages from the provider, ms; MB more
    than before the sessions."""
    delays: list[float] = []
    sent = 0

    async def send(connection: ClientConnection) -> None:
        nonlocal sent
        due = time.monotonic()
        while True:
            due = max(due + PERIOD, time.monotonic())  # what is late is left out
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await connection.send(_UP)
            sent += 1

    async def receive(connection: ClientConnection) -> None:
        async for message in connection:
            now = time.monotonic()
            if isinstance(message, str) and len(message) > 6_000:
                begin = message.index('"event_id":"') + 12
                delays.append(now - float(message[begin : message.index('"', begin)]))

    empty = memory_mb(weighed)
    connections = [await _open(url, users[number % len(users)]) for number in range(SESSIONS)]
    tasks = [asyncio.create_task(do(one)) for one in connections for do in (send, receive)]
    await asyncio.sleep(1)
    begun, before = cpu_seconds(measured), sent
    delays.clear()
    await asyncio.sleep(SECONDS)
    spent, count = cpu_seconds(measured) - begun, sent - before + len(delays)
    late, memory = median(delays) * 1e3, memory_mb(weighed) - empty
    for task in tasks:
        task.cancel()
    for connection in connections:
        connection.transport.abort()
    return spent / count * 1e6, late, memory


async def _open(url: str, user: User) -> ClientConnection:
    connection = await connect(
        url, additional_headers=user.headers, compression=None, ping_interval=None, proxy=None
    )
    await connection.recv()  # session.created
    await connection.send('{"type":"response.create"}')
    return connection


def _print(found: dict[str, list[tuple[float, float]]], kib: float) -> None:
    table.title(
        f"{SESSIONS} sessions of voice, {1 / PERIOD:.0f} messages a second each way, of 1.3 KB and "
        f"6.6 KB: median (min-max) of {ROUNDS} rounds of {SECONDS} s"
    )
    table.row("", "bare relay", "vibe-server")
    bare, ours = found["bare"], found["ours"]
    cpu = [[cost for cost, _ in each] for each in (bare, ours)]
    late = [
        [delay - direct for (_, delay), (_, direct) in zip(each, found["direct"], strict=True)]
        for each in (bare, ours)
    ]
    table.row("CPU of a message, us", *(table.spread(each) for each in cpu))
    ratios = [mine / theirs for theirs, mine in zip(*cpu, strict=True)]
    table.row(
        "  vibe-server / bare relay",
        "",
        table.spread(ratios, 2),
        note=table.limit(ratios, MOST_RATIO),
    )
    table.row(
        "later than without it, ms",
        *(table.spread(each, 2) for each in late),
        note=table.limit(late[1], MOST_DELAY_MS),
    )
    table.row("memory of a session, KiB", "", f"{kib:.0f}")
