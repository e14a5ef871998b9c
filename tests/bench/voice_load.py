"""Clients of sessions of voice for benchmarks: they speak, and hear a provider that does."""

import asyncio
import base64
import time
from typing import NamedTuple

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.api import User
from tests.bench.load import cpu_seconds
from tests.bench.throughput import memory_mb

SESSIONS_PER_USER = 5
_UP = orjson.dumps(
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(960)).decode()}
).decode()
"""1.3 KB: 20 ms."""


class Rates(NamedTuple):
    """`up` and `down`: messages a second of each session."""

    sessions: int
    up: int
    down: int

    @property
    def users(self) -> int:
        return self.sessions // SESSIONS_PER_USER


class Round(NamedTuple):
    """`cpu` is of the process that is measured, in seconds, for so many `messages`; `delays` of
    those from the provider in their order; `memory`: MB more than before the sessions."""

    cpu: float
    messages: int
    delays: list[float]
    memory: float


async def run(
    rates: Rates, seconds: float, url: str, users: list[User], measured: int, weighed: int
) -> Round:
    delays: list[float] = []
    sent = 0

    async def send(connection: ClientConnection) -> None:
        nonlocal sent
        due = time.monotonic()
        while True:
            due = max(due + 1 / rates.up, time.monotonic())  # what is late is left out
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
    connections = [await _open(url, users[number % len(users)]) for number in range(rates.sessions)]
    tasks = [asyncio.create_task(do(one)) for one in connections for do in (send, receive)]
    await asyncio.sleep(1)
    begun, before = cpu_seconds(measured), sent
    delays.clear()
    await asyncio.sleep(seconds)
    spent, count = cpu_seconds(measured) - begun, sent - before + len(delays)
    memory = memory_mb(weighed) - empty
    for task in tasks:
        task.cancel()
    for connection in connections:
        connection.transport.abort()
    return Round(spent, count, delays, memory)


async def _open(url: str, user: User) -> ClientConnection:
    connection = await connect(
        url, additional_headers=user.headers, compression=None, ping_interval=None, proxy=None
    )
    await connection.recv()  # session.created
    await connection.send('{"type":"response.create"}')
    return connection
