"""What connections to upstreams take of memory: a tenant may have thousands of them."""

import asyncio
import gzip
import socket
from contextlib import suppress

import pytest

from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.upstream.errors import TooLong
from server.upstream.names import Names
from server.upstream.turns import MOST_IDLE
from tests.processes import until

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
SYSTEMS = 4096
"""Bytes that the upstream's system keeps, about."""
MOST = 64 * 1024
"""Bytes that come of a reply before it is read."""


async def test_few_are_kept_for_a_next_call() -> None:
    count = MOST_IDLE + 50
    all_have_asked = asyncio.Event()
    is_open: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_open.add(writer)
        await reader.readuntil(b"\r\n\r\n")
        if len(is_open) == count:
            all_have_asked.set()
        await all_have_asked.wait()
        writer.write(REPLY)
        await reader.read()
        writer.close()
        is_open.discard(writer)

    client = Upstream(Names(), True, Timeouts())
    await client.start()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=count) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"

        async def ask() -> bytes:
            return await (await client.post(url, {}, b"")).read(10)

        assert set(await asyncio.gather(*(ask() for _ in range(count)))) == {b"OK"}
        await until(lambda: len(is_open) == MOST_IDLE)
        await client.close()
        await until(lambda: not is_open)


async def test_little_comes_of_what_nobody_reads() -> None:
    client = Upstream(Names(), True, Timeouts())
    await client.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        asking = asyncio.create_task(client.post(url, {}, b""))
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        ours, _ = await loop.sock_accept(listener)
        with ours:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEMS)
            sent = 0
            with suppress(BlockingIOError):  # the client does not run meanwhile
                while True:
                    sent += ours.send(bytes(SYSTEMS))
            assert sent < MOST
        asking.cancel()
        await asyncio.wait([asking])
    await client.close()


async def test_what_is_unpacked_as_it_comes_needs_room() -> None:
    packed = gzip.compress(bytes(100_000))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n"
        writer.write(head % len(packed) + b"Connection: close\r\n\r\n" + packed)

    client = Upstream(Names(), True, Timeouts())
    await client.start()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        for room in (100_000, 99_999):
            response = await client.post(url, {}, b"")
            if room == 100_000:
                assert len(await response.read(10**6, room.__ge__)) == room
                continue
            with pytest.raises(TooLong):
                await response.read(10**6, room.__ge__)
    await client.close()
