"""An end that has gone silent, or does not read, is cut off; a slow one is not."""

import asyncio
import time

from websockets.asyncio.client import ClientConnection

from server.timeouts import Timeouts
from tests.processes import until
from tests.websocket.ends import HURRIED, End, with_client

SEVERAL_BEATS = 5 * HURRIED.heartbeat
UNREAD = Timeouts(heartbeat=60, unread_messages=0.4, client_check=0.05)


def test_an_end_that_answers_pings_stays() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        await asyncio.sleep(SEVERAL_BEATS)
        assert end.told.ends == []
        await client.send("here")
        await until(lambda: end.told.texts)

    with_client(test)


def test_a_silent_end_is_cut_off() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()  # no pongs
        since = time.monotonic()
        assert (await end.told.end())[0] == 1006
        assert HURRIED.heartbeat <= time.monotonic() - since
        assert end.lost == 1

    with_client(test)


def test_one_that_never_reads_is_cut_off_though_it_sends() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()
        while not end.told.fullness:
            end.socket.send("x" * 100_000)
            await asyncio.sleep(0)
        while not end.told.ends:
            client.transport.write(b"\x81\x80\0\0\0\0")
            await asyncio.sleep(0.01)
        assert await end.told.end() == (1006, "")

    with_client(test, UNREAD)


def test_one_that_reads_slowly_is_not() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()
        while not end.told.fullness:
            end.socket.send("x" * 1_000_000)
            await asyncio.sleep(0)
        until_later = time.monotonic() + 3 * UNREAD.unread_messages
        while time.monotonic() < until_later:
            client.transport.resume_reading()
            await asyncio.sleep(0.001)
            client.transport.pause_reading()
            await asyncio.sleep(0.1)
            end.socket.send("x" * 1_000_000)
        assert end.told.ends == []

    with_client(test, UNREAD)


def test_pongs_do_not_pile_up_for_one_that_does_not_read() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()
        while not end.told.fullness:
            end.socket.send("x" * 100_000)
            await asyncio.sleep(0)
        before = end.socket._transport.get_write_buffer_size()
        ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
        client.transport.writelines([ping] * 1_000 + [b"\x81\x80\0\0\0\0"])
        await until(lambda: end.told.texts)
        assert end.socket._transport.get_write_buffer_size() <= before

    with_client(test, Timeouts(heartbeat=60))


def test_one_that_does_not_close_after_us_is_cut_off() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()
        end.socket.close(4402, "used up")
        assert await end.told.end() == (4402, "used up")
        assert end.lost == 1

    with_client(test)
