"""What many upstreams send at the same moment is worked on a little in each turn of the loop."""

import asyncio

import pytest

from server import turns
from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.upstream.names import Names
from server.upstream.response import Response
from server.upstream.turns import LIGHT_BYTES, Turns
from tests.processes import until

COUNT = 20


async def test_owners_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    shared, seen = Turns(asyncio.get_running_loop()), list[str]()

    async def work(owner: str) -> None:
        await shared.wait(owner)
        seen.append(owner)

    assert not shared.is_over
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(work("a"))
        for owner in "aaabbc":
            group.create_task(work(owner))
        await asyncio.sleep(0)
        gone.cancel()
    assert "".join(seen) == "bcabaa"


def has_come(response: Response) -> bool:
    """But for the last byte."""
    return response._content.total_bytes == 2 * LIGHT_BYTES - 1


async def test_replies_that_end_together_go_on_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    loop, last = asyncio.get_running_loop(), asyncio.Event()
    turn, ended = 0, list[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * LIGHT_BYTES))
        writer.write(bytes(2 * LIGHT_BYTES - 1))
        await last.wait()
        writer.write(b"x")

    async def call(url: str) -> None:
        response = await client.post(url, {}, b"", tenant_id="a")
        await response.read(10**6)
        await response.turn()
        ended.append(turn)

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    client = Upstream(Names(), True, Timeouts())
    await client.start()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        calls = [asyncio.create_task(call(url)) for _ in range(COUNT)]
        await until(lambda: [has_come(one) for one in client._responses] == [True] * COUNT)
        count()
        last.set()
        await asyncio.gather(*calls)
    assert len(set(ended)) == COUNT
    await client.close()
