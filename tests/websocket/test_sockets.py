"""A socket tells whole messages in order and its end once, and passes on what it is given."""

import asyncio
import sys
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from server.timeouts import Timeouts
from server.websocket.reading import MOST_SMALL
from tests.processes import until
from tests.websocket.ends import End, close_of, with_client

LARGE = "x" * (3 * 1024 * 1024)
PATIENT = Timeouts(heartbeat=60)


def test_messages_come_whole_and_in_order() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        await client.send("one")
        await client.send(["frag", "ment", "ed"])
        await client.send("")
        await client.send(LARGE)
        await client.send("é")
        await until(lambda: len(end.told.texts) == 5)
        assert end.told.texts == [b"one", b"fragmented", b"", LARGE.encode(), "é".encode()]

    with_client(test)


def test_messages_are_sent() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        for text in ("one", b"two", LARGE):
            end.socket.send(text)
        assert [await client.recv() for _ in range(3)] == ["one", "two", LARGE]

    with_client(test)


def test_the_other_ends_close_is_told_once() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        await client.send("last")
        await client.close(4001, "enough")
        assert await end.told.end() == (4001, "enough")
        assert end.told.texts == [b"last"]
        await until(lambda: end.lost)
        end.socket.send("too late")
        end.socket.close(1000)
        assert (len(end.told.ends), end.lost) == (1, 1)

    with_client(test)


def test_our_close_comes_behind_what_was_sent() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        end.socket.send("last")
        end.socket.close(4402, "insufficient_quota.insufficient_quota" + "é" * 100)
        assert await client.recv() == "last"
        code, reason = await close_of(client)
        assert code == 4402
        assert reason.startswith("insufficient_quota.insufficient_quotaé")
        assert (await end.told.end())[0] == 4402

    with_client(test)


def test_after_our_close_nothing_is_told() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        end.told.on_message = lambda text: end.socket.close(1000)
        await asyncio.gather(*(client.send("again") for _ in range(10)))
        assert await end.told.end() == (1000, "")
        assert end.told.texts == [b"again"]

    with_client(test)


def test_a_connection_that_breaks_is_1006() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        await client.send("last")
        client.transport.abort()
        assert (await end.told.end())[0] == 1006
        assert (end.told.texts, end.lost) == ([b"last"], 1)

    with_client(test)


def test_what_is_no_text_is_closed() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        await client.send(b"binary")
        assert (await close_of(client))[0] == 1003
        assert (await end.told.end())[0] == 1003
        assert end.told.texts == []

    with_client(test)


@pytest.mark.parametrize("parts", [1, 1_000])
def test_what_is_too_large_is_closed(parts: int) -> None:
    async def test(end: End, client: ClientConnection) -> None:
        part = "x" * (5 * 1024 * 1024 // parts)
        with suppress(ConnectionClosed):
            await client.send(part if parts == 1 else (part for _ in range(parts)))
        assert (await close_of(client))[0] == 1009
        assert (await end.told.end())[0] == 1009

    with_client(test)


@pytest.mark.parametrize("parts", [1, 100])
def test_a_large_message_is_not_taken_without_room(parts: int) -> None:
    async def test(end: End, client: ClientConnection) -> None:
        asked: list[int] = []

        def is_room_for(size: int) -> bool:
            asked.append(size)
            return size < 500_000

        end.is_room_for = is_room_for
        await client.send("x" * 400_000)
        await until(lambda: end.told.texts)
        assert asked[-1] == 0
        assert max(asked) < 500_000
        part = "x" * (1_000_000 // parts)
        with suppress(ConnectionClosed):
            await client.send(part if parts == 1 else (part for _ in range(parts)))
        assert (await close_of(client))[0] == 1013
        assert asked[-1] == 0

    with_client(test)


def test_a_paused_end_is_told_nothing_and_then_all() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        def stop(text: bytes) -> None:
            if text == b"stop":
                end.socket.pause()

        end.told.on_message = stop
        for text in ("go", "stop", "waits", "waits, too"):
            await client.send(text)
        await client.close(4000, "end")
        await until(lambda: len(end.told.texts) == 2)
        await asyncio.sleep(3 * end.timeouts.heartbeat)
        assert (end.told.texts, end.told.ends) == ([b"go", b"stop"], [])
        end.socket.resume()
        assert len(end.told.texts) == 2
        assert await end.told.end() == (4000, "end")
        assert end.told.texts == [b"go", b"stop", b"waits", b"waits, too"]

    with_client(test)


def test_pausing_lets_the_other_end_wait() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        end.socket.pause()
        sending = asyncio.create_task(client.send("x" * 2**24))
        done, _ = await asyncio.wait([sending], timeout=0.2)
        assert not done
        client.transport.abort()
        await asyncio.wait([sending])

    with_client(test, PATIENT)


def test_one_that_is_slow_to_read_is_told() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        client.transport.pause_reading()
        while not end.told.fullness:
            end.socket.send("x" * 100_000)
            await asyncio.sleep(0)
        assert end.told.fullness == [True]
        client.transport.resume_reading()
        await until(lambda: end.told.fullness == [True, False])

    with_client(test, PATIENT)


def test_a_fault_of_the_listener_ends_only_its_socket() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        def fail(text: bytes) -> None:
            raise RuntimeError("unforeseen")

        end.told.on_message = fail
        await client.send("one")
        assert (await close_of(client))[0] == 1011

    with_client(test)


def test_very_many_small_messages_leave_others_their_turns() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        turns = 0
        client.transport.writelines([b"\x81\x80\0\0\0\0"] * 50_000)
        while len(end.told.texts) < 50_000:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 1_000

    with_client(test)


FLOODS = {
    "pings": b"\x89\x80\0\0\0\0",
    "pongs": b"\x8a\x80\0\0\0\0",
    "fragments": b"\x00\x81\0\0\0\0x",
}


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("count", [MOST_SMALL - 1, MOST_SMALL + 1])
def test_a_flood_of_small_frames_is_closed(frame: bytes, count: int) -> None:
    async def test(end: End, client: ClientConnection) -> None:
        beginning, last = b"\x01\x80\0\0\0\0", b"\x80\x80\0\0\0\0"
        is_fragment = frame[0] == 0
        sent = [beginning, *[frame] * (count - 2), last] if is_fragment else [frame] * count
        client.transport.writelines([*sent, b"\x81\x81\0\0\0\0y"])
        if count > MOST_SMALL:
            assert (await end.told.end())[0] == 1008
            assert await close_of(client) == (1008, "Too many small frames")
            assert not end.told.texts
        else:
            await until(lambda: end.told.texts[-1:] == [b"y"])

    with_client(test)


@pytest.mark.parametrize("has_room", [True, False])
def test_what_is_not_read_needs_room(has_room: bool) -> None:
    async def test(end: End, client: ClientConnection) -> None:
        asked: list[int] = []

        def is_room_to_send(size: int) -> bool:
            asked.append(size)
            return has_room or not size

        end.is_room_to_send = is_room_to_send
        text = "x" * 20_000_000
        client.transport.pause_reading()
        end.socket.send(text)
        await until(lambda: asked)
        assert asked[0] >= len(text)
        if has_room:
            client.transport.resume_reading()
            assert await client.recv() == text
        else:
            assert (await end.told.end())[0] == 1006
        await until(lambda: asked[-1] == 0)

    with_client(test, PATIENT)


def test_nobody_keeps_what_was_told() -> None:
    """The parser would, until the next frame."""

    async def test(end: End, client: ClientConnection) -> None:
        await client.send(LARGE)
        await until(lambda: end.told.texts)
        references = sys.getrefcount(end.told.texts[0])
        assert references == 2  # the list, and the argument

    with_client(test)
