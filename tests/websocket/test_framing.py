"""What is read without websockets is what it would have read, however it comes."""

import asyncio
from collections.abc import Callable
from itertools import accumulate
from random import Random
from struct import pack
from typing import cast

import pytest
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import apply_mask

from server import turns
from server.websocket.reading import LEAST_PART_BYTES, Reading
from tests.processes import until
from tests.websocket.ends import End, with_client

ROUNDS = 1_000
_SIZES = (0, 1, 2, 5, 124, 125, 126, 127, 128, 1_300, 6_600, 65_535, 65_536, 70_000)
_ASIDE = (0, 0, 0, -1, -2, 1, 2, 3, 5, 8, 13)
_KEY = b"\x81\x83\xff\x7f"
"""Looks like the head of a frame."""
Frames = ServerProtocol | ClientProtocol


class _Transport:
    """Of which nobody reads or writes anything."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Told(Reading):
    """What it makes of what it is given."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(cast(asyncio.Transport, _Transport()), frames, b"", lambda _: True)
        self.texts: list[bytes] = []
        self.answers: list[bytes] = []

    def _give(self, text: bytes) -> None:
        self.texts.append(text)

    def _answer(self) -> None:
        self.answers += self._frames.data_to_send()

    def _go_soon(self) -> None: ...

    def _be_over(self) -> None: ...


def _server() -> Frames:
    frames = ServerProtocol(max_size=100_000)
    return _open(frames)


def _client() -> Frames:
    return _open(ClientProtocol(parse_uri("ws://a.example/"), max_size=100_000))


def _open(frames: Frames) -> Frames:
    """After a handshake."""
    frames.state = frames.state.OPEN
    frames.parser = Protocol.parse(frames)
    next(frames.parser)
    return frames


def _frame(head: int, data: bytes, is_masked: bool, wide: bool = False) -> bytes:
    """`wide`: its length is written longer than needed."""
    bit, size = 0x80 if is_masked else 0, len(data)
    if size < 126 and not wide:
        start = pack("!BB", head, bit | size)
    elif size < 65_536 and not (wide and size > 1_000):
        start = pack("!BBH", head, bit | 126, size)
    else:
        start = pack("!BBQ", head, bit | 127, size)
    return start + (_KEY + apply_mask(data, _KEY) if is_masked else data)


def _any(random: Random, is_masked: bool) -> bytes:
    """A frame, mostly a usual one, or some that belong together."""
    text = random.choice((b"", b"\x81\x05")) + random.randbytes(random.choice(_SIZES))
    small = text[:125]
    usual = _frame(0x81, text, is_masked)
    odd: list[Callable[[], bytes]] = [
        lambda: _frame(0x81, text, is_masked, wide=True),
        lambda: _frame(0x01, text, is_masked) + _frame(0x80, small, is_masked),
        lambda: _frame(0x01, text, is_masked) + _frame(0x00, small, is_masked),
        lambda: _frame(0x01, text, is_masked) + _frame(0x89, small, is_masked),
        lambda: _frame(0x89, small, is_masked),
        lambda: _frame(0x8A, small, is_masked),
        lambda: _frame(0x88, pack("!H", 4_000) + b"enough", is_masked),
        lambda: _frame(0x82, small, is_masked),
        lambda: _frame(0xC1, text, is_masked),
        lambda: _frame(0x81, text, not is_masked),
        lambda: _frame(0x83, small, is_masked),
        lambda: _frame(0x80, small, is_masked),
        lambda: _frame(0x81, bytes(100_001), is_masked),
    ]
    return usual if random.random() < 0.8 else random.choice(odd)()


def _in_parts(random: Random, frames: list[bytes]) -> list[bytes]:
    """Cut where frames begin, or a little before or behind that."""
    data, places = b"".join(frames), list(accumulate(map(len, frames)))
    cuts = random.choices(places, k=random.choice((0, 1, 3, 10)))
    ends = sorted(min(max(cut + random.choice(_ASIDE), 0), len(data)) for cut in cuts)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def _by_websockets(frames: Frames, data: bytes, to_binary: bool) -> tuple[list[bytes], list[bytes]]:
    """The texts, perhaps only those before what is no text, and what is answered."""
    texts: list[bytes] = []
    message = b""
    frames.receive_data(data)
    answers = frames.data_to_send()
    for frame in cast(list[Frame], frames.events_received()):
        if frame.opcode is Opcode.BINARY and to_binary:
            break
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            message += frame.data
            if frame.fin:
                texts.append(message)
                message = b""
    return texts, answers


@pytest.mark.parametrize("make", [_server, _client])
async def test_it_reads_what_websockets_does(make: Callable[[], Frames]) -> None:
    random, of_client = Random(0), make is _server
    for number in range(ROUNDS):
        frames = [_any(random, of_client) for _ in range(random.randint(1, 8))]
        ours, theirs = _Told(make()), make()
        for part in _in_parts(random, frames):
            ours.data_received(part)
            await until(lambda: not ours._waiting)  # noqa: B023  # within the round
        texts, answers = _by_websockets(theirs, b"".join(frames), ours._has_failed)
        if ours._has_failed:  # by what is no text
            assert ours._frames.close_sent is not None
            assert ours._frames.close_sent.code == CloseCode.UNSUPPORTED_DATA, number
        else:
            assert _unmasked(ours.answers, of_client) == _unmasked(answers, of_client), number
            assert ours._frames.close_sent == theirs.close_sent, number
            assert ours._frames.close_rcvd == theirs.close_rcvd, number
        assert ours.texts == texts, number


def _unmasked(answers: list[bytes], is_plain: bool) -> object:
    """A client's masks are random: of its answers only the lengths."""
    return answers if is_plain else list(map(len, answers))


def test_usual_messages_are_read_without_websockets() -> None:
    """Which takes five times as long: an upgrade of it must not bring that back unseen."""

    async def test(end: End, client: object) -> None:
        end.socket._frames.receive_data = None  # type: ignore[assignment, method-assign]
        text = b"x" * 1_300
        end.socket.data_received(_frame(0x81, text, is_masked=True) * 2)
        assert end.told.texts == [text, text]

    with_client(test)


async def test_of_tiny_frames_a_few_are_read_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is answered, and takes longer than many a message."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    ours, pings = _Told(_server()), 1_300
    ours.data_received(b"\x89\x80\0\0\0\0" * pings)
    assert 0 < len(ours.answers) <= LEAST_PART_BYTES // 6 + 1
    await until(lambda: len(ours.answers) == pings)
