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

PART_BYTES = 4 * 1024
"""Read by websockets at a time: a frame can be of 6 bytes, and each takes 10 us."""
MOST_AT_ONCE = 20
"""Messages that are told before others have their turn: what is refused takes 40 us."""
LEAST_BYTES = 126
MOST_SMALL, SMALL_SECONDS = 1_000, 20
"""So many pings, pongs, and fragments of fewer than LEAST_BYTES: who needs any has a few."""
FREE_BYTES = 64 * 1024
"""Of a message of which some is missing: beyond that it is asked whether there is room."""


class Reading(asyncio.Protocol):
    """Of one connection; what a socket makes of that is in the methods that are not here. What is
    no text fails with 1003, very many small frames with 1008, what is too large with 1009, and what
    there is no memory for, 1013."""

    __slots__ = (
        "_at",
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
        "_small",
        "_small_since",
        "_told",
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
        self._waiting, self._at = begun, 0
        """Has come, and from there on is not read."""
        self._left: deque[Frame] = deque(self._frames_read())
        """Is read, and not told."""
        self._message = bytearray()
        """The fragments until now."""
        self._told = 0
        """Messages, since others had their turn."""
        self._small, self._small_since = 0, self._loop.time()
        self._is_paused = False
        self._is_due = False
        self._is_deaf = False
        """We have closed: what still comes is for nobody."""
        self._has_failed = False
        """It has sent what we do not take."""
        self._is_lost = False

    def data_received(self, data: bytes) -> None:
        if self._waiting or self._left:  # with TLS it comes though reading is paused
            self._waiting, self._at = self._waiting[self._at :] + data, 0
        else:
            self._waiting = data
            self._work()

    def _later(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._turns.later(self, self._work_later)

    def _work_later(self) -> None:
        self._is_due = False
        self._work()

    def _work(self) -> None:
        """Reads what waits, for a moment; the rest when others have had their turn."""
        self._told = 0
        while not self._is_paused and (self._left or self._waiting):
            if self._told >= MOST_AT_ONCE or self._turns.is_over:
                self._pause_transport()
                self._later()
                return
            if self._left:
                self._tell(self._left.popleft())
            else:
                self._read()
        if self._is_paused:
            return
        if self._is_lost:
            self._be_over()
            return
        self._see_end()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _pause_transport(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _read(self) -> None:
        """Some of what waits."""
        if is_between(self._frames) and self._read_texts():
            return
        data = self._waiting[self._at : self._at + PART_BYTES]
        self._go_on_at(self._at + len(data))
        frames = self._frames
        frames.receive_data(data)
        if frames.writes:
            self._answer()
        for frame in self._frames_read():
            if self._is_paused or self._left or self._told >= MOST_AT_ONCE:
                self._left.append(frame)
            else:
                self._tell(frame)
        if frames.state is not OPEN:
            self._see_end()
        elif len(frames.reader.buffer) > FREE_BYTES:
            self._keep(len(self._message) + len(frames.reader.buffer))

    def _read_texts(self) -> bool:
        """Tells the usual messages that come now; False if what is behind them is none."""
        frames, turns, is_masked = self._frames, self._turns, not self._is_clients
        while frames.state is OPEN and self._waiting:
            found = text_of(self._waiting, self._at, is_masked)
            if found is None:
                return False
            text, at = found
            self._go_on_at(at)
            self._give(text)
            self._told += 1
            if self._is_paused or self._told >= MOST_AT_ONCE or turns.is_over:
                return True
        return not self._waiting

    def _go_on_at(self, at: int) -> None:
        if at == len(self._waiting):
            self._waiting, self._at = b"", 0
        else:
            self._at = at

    def _frames_read(self) -> list[Frame]:
        # The others that are possible are of handshakes, which are over.
        return cast(list[Frame], self._frames.events_received())

    def _tell(self, frame: Frame) -> None:
        data, frame.data = frame.data, b""  # the parser has its last frame until the next one
        if self._is_deaf:
            return
        self._told += 1
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._give(bytes(data))
        elif len(data) < LEAST_BYTES and self._are_too_many_small():
            self._fail(CloseCode.POLICY_VIOLATION, "Too many small frames")
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

    def _are_too_many_small(self) -> bool:
        """With the one that has come."""
        self._small += 1
        if self._small <= MOST_SMALL:
            return False
        now = self._loop.time()
        is_flood = now - self._small_since < SMALL_SECONDS
        self._small, self._small_since = 0, now
        return is_flood

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
