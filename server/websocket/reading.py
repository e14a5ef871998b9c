"""Reading: what comes on a connection, as whole text messages, a little at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CTRL_OPCODES, CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from server.websocket.framing import is_between, text_of
from server.websocket.turns import turns_of

PART_BYTES = 8 * 1024
"""Read at a time, at most."""
LEAST_PART_BYTES = 512
"""Likewise of who sends many small frames: one can be of 6 bytes, and takes 20 us."""
_MANY = 32
"""Frames in a part."""
FREE_BYTES = 64 * 1024
"""Of a message of which some is missing: beyond that it is asked whether there is room."""
_NOTHING = memoryview(b"")


class Reading(asyncio.Protocol):
    """Of one connection; what a socket makes of that is in the methods that are not here. What is
    no text fails with 1003, what is too large with 1009, and what there is no memory for, 1013."""

    __slots__ = (
        "_frames",
        "_has_failed",
        "_is_clients",
        "_is_deaf",
        "_is_due",
        "_is_lost",
        "_is_paused",
        "_is_room_for",
        "_left",
        "_loop",
        "_message",
        "_part_bytes",
        "_transport",
        "_turns",
        "_waiting",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        frames: ServerProtocol | ClientProtocol,
        begun: bytes,
        is_room_for: Callable[[int], bool],
    ) -> None:
        self._transport = transport
        self._frames = frames
        self._is_clients = isinstance(frames, ClientProtocol)
        """This end is: it masks what it sends, and the other end does not."""
        self._is_room_for = is_room_for
        self._loop = asyncio.get_running_loop()
        self._turns = turns_of(self._loop)
        self._waiting = memoryview(begun)
        """Has come, and is not read."""
        self._left: deque[Frame] = deque(self._frames_read())
        """Is read, and not told."""
        self._message = bytearray()
        """The fragments until now."""
        self._part_bytes = LEAST_PART_BYTES
        self._is_paused = False
        self._is_due = False
        self._is_deaf = False
        """We have closed: what still comes is for nobody."""
        self._has_failed = False
        """It has sent what we do not take."""
        self._is_lost = False

    def data_received(self, data: bytes) -> None:
        if self._is_paused or self._waiting or self._left:  # with TLS it comes all the same
            self._waiting = memoryview(bytes(self._waiting) + data)
        else:
            if len(data) <= PART_BYTES and not self._turns.is_over:
                data = self._read(data)
            if data:
                self._waiting = memoryview(data)
                self._work()

    def _later(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._turns.later(self, self._work_later)

    def _work_later(self) -> None:
        self._is_due = False
        self._work(is_its_turn=True)

    def _work(self, is_its_turn: bool = False) -> None:
        """Reads what waits, for a moment; the rest when others have had their turn."""
        while not self._is_paused and (self._left or self._waiting):
            if self._turns.is_over and not is_its_turn:  # in its own it always comes forward
                self._pause_transport()
                self._later()
                return
            is_its_turn = False
            if self._left:
                self._tell(self._left.popleft())
            else:
                part = bytes(self._waiting[:PART_BYTES])
                self._waiting = self._waiting[len(part) - len(self._read(part)) :]
        if self._is_paused:
            return
        self._waiting = _NOTHING  # an empty part of what has come would keep all of it
        if self._is_lost:
            self._be_over()
            return
        self._see_end()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _pause_transport(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _read(self, data: bytes) -> bytes:
        """As much as its turn is long, but some of it; returns what is left."""
        if is_between(self._frames):
            given, data = len(data), self._read_texts(data)
            if not data or self._is_paused or (len(data) < given and self._turns.is_over):
                return data
        size = self._part_bytes
        self._read_frames(data[:size])
        return data[size:]

    def _read_frames(self, data: bytes) -> None:
        frames = self._frames
        frames.receive_data(data)
        is_many = len(frames.writes) + len(frames.events) > _MANY
        self._part_bytes = LEAST_PART_BYTES if is_many else min(2 * self._part_bytes, PART_BYTES)
        if frames.writes:
            self._answer()
        if frames.events:
            for frame in self._frames_read():
                if self._is_paused or self._left:
                    self._left.append(frame)
                else:
                    self._tell(frame)
        if frames.state is not OPEN:
            self._see_end()
        elif len(frames.reader.buffer) > FREE_BYTES:
            self._keep(len(self._message) + len(frames.reader.buffer))

    def _read_texts(self, data: bytes) -> bytes:
        """Tells the usual messages that it begins with, for a moment; returns what is behind."""
        frames, begin = self._frames, 0
        while frames.state is OPEN and not self._is_paused and not self._turns.is_over:
            found = text_of(data, begin, not self._is_clients)
            if found is None:
                break
            text, begin = found
            self._give(text)
        return data[begin:]

    def _frames_read(self) -> list[Frame]:
        # The others that are possible are of handshakes, which are over.
        return cast(list[Frame], self._frames.events_received())

    def _tell(self, frame: Frame) -> None:
        data, frame.data = frame.data, b""  # the parser has its last frame until the next one
        if self._is_deaf:
            return
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._give(bytes(data))
        elif frame.opcode in CTRL_OPCODES:
            return
        elif frame.opcode is Opcode.BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, "Messages must be text")
        else:
            self._message += data
            if frame.fin:
                text, self._message = bytes(self._message), bytearray()
                self._give(text)
            else:
                self._keep(len(self._message))

    def _keep(self, size: int) -> None:
        if size > FREE_BYTES and not self._is_room_for(size):
            self._fail(CloseCode.TRY_AGAIN_LATER, "No memory for the message now")

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self._frames.state is OPEN:
            self._has_failed = self._is_deaf = True
            self._left.clear()
            self._frames.fail(code, reason)
            self._answer()
            self._see_end()

    def _see_end(self) -> None:
        """If nothing more can come."""
        frames = self._frames
        if self._has_failed or frames.close_rcvd is not None or frames.parser_exc is not None:
            self._go_soon()
            if not self._left:
                self._be_over()

    def _give(self, text: bytes) -> None:
        """A message has come."""
        raise NotImplementedError

    def _answer(self) -> None:
        """The frames have written something themselves."""
        raise NotImplementedError

    def _go_soon(self) -> None:
        """The connection is of no more use; may come again."""
        raise NotImplementedError

    def _be_over(self) -> None:
        """All that has come was told, and it was the last; may come again."""
        raise NotImplementedError
