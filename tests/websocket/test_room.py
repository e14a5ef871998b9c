"""What a message takes of the room for bodies, and for how long."""

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import AsyncIterator

from websockets.asyncio.client import ClientConnection

from server.websocket.framing import frame_of
from server.websocket.socket import RECEIVED_BYTES
from tests.processes import until
from tests.websocket.ends import End, with_client


def room_of(end: End) -> list[int]:
    """What it has asked for, all of which it gets."""
    asked = [0]

    def is_room_for(size: int) -> bool:
        asked.append(size)
        return True

    end.is_room_for = is_room_for
    return asked


def test_what_the_listener_pauses_for_keeps_its_room() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        asked = room_of(end)
        end.told.on_message = lambda text: end.socket.pause()
        await client.send("x" * 400_000)
        await until(lambda: end.told.texts)
        assert asked[-1] > 390_000
        end.socket.resume()
        assert asked[-1] == 0
        await client.send(part for part in ["x" * 300_000, "y" * 100_000])
        await until(lambda: len(end.told.texts) == 2)
        end.socket.close(1000)
        assert asked[-1] == 0

    with_client(test)


def test_what_has_begun_to_come_keeps_its_room_through_a_pause() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        asked, going_on = room_of(end), asyncio.Event()

        async def parts() -> AsyncIterator[str]:
            yield "x" * 300_000
            await going_on.wait()
            yield "y"

        sending = asyncio.create_task(client.send(parts()))
        await until(lambda: asked[-1] >= 300_000)
        end.socket.pause()
        end.socket.resume()
        assert asked[-1] >= 300_000
        going_on.set()
        await sending
        await until(lambda: end.told.texts)
        assert asked[-1] == 0

    with_client(test)


def test_what_had_begun_to_come_has_no_room_once_it_is_over() -> None:
    """Though whoever listens still pauses and resumes."""

    async def test(end: End, client: ClientConnection) -> None:
        asked = room_of(end)
        whole = frame_of(b"x" * 400_000, is_clients=True)
        client.transport.write(whole[:300_000])
        await until(lambda: asked[-1] > 290_000)
        client.transport.abort()
        await until(lambda: end.told.ends)
        end.socket.pause()
        end.socket.resume()
        assert asked[-1] == 0

    with_client(test)


def test_what_had_begun_to_come_takes_no_memory_once_it_is_over() -> None:
    """Without waiting until Python looks for circles."""

    async def cut(end: End, client: ClientConnection) -> None:
        asked = room_of(end)
        client.transport.write(frame_of(b"x" * 4_000_000, is_clients=True)[:3_000_000])
        await until(lambda: asked[-1] > 2_900_000)
        client.transport.abort()
        await until(lambda: end.told.ends)

    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        for _ in range(3):
            with_client(cut)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 3_000_000


def test_one_that_was_paused_and_lost_is_over_once_it_is_closed() -> None:
    async def test(end: End, client: ClientConnection) -> None:
        asked = room_of(end)
        end.told.on_message = lambda text: end.socket.pause()
        closing = b"\x88\x80" + bytes(4)
        client.transport.write(frame_of(b"x" * 400_000, is_clients=True) + closing)
        await until(lambda: end.told.texts)
        client.transport.abort()
        await until(lambda: end.lost)
        end.socket.close(1000)
        await end.told.end()
        assert asked[-1] == 0

    with_client(test)


def test_the_system_keeps_little_of_what_a_client_sends() -> None:
    """All that it keeps can come at once, and wait where nobody asks for room."""

    async def test(end: End, client: ClientConnection) -> None:
        connection = end.transport.get_extra_info("socket")
        kept = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert kept <= 2 * RECEIVED_BYTES

    with_client(test)
