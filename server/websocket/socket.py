"""Socket: one end of a relay, a client's or a provider's: whole text messages over a connection.

The frames are read and written by websockets, which knows of no connection. Its own connections
make tasks and futures for each message, and cost twice as much.
"""

import logging
import socket
from typing import Protocol

from websockets.client import ClientProtocol
from websockets.frames import Close, CloseCode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from server.timeouts import Timeouts
from server.websocket.framing import frame_of
from server.websocket.line import Line, Memory
from server.websocket.pulse import Pulse
from server.websocket.reading import FREE_BYTES, Reading

log = logging.getLogger(__name__)

UNSENT_BYTES = 32 * 1024
"""When more waits to be sent, the listener is told, and it is asked whether there is room."""
RECEIVED_BYTES = 32 * 1024
"""That the system keeps of each client, and as many again: so many come at once, and wait here
while reading is paused. By itself it would be hundreds of KiB. Of providers see upstream/client."""
_LONGEST_REASON = 123


class Listener(Protocol):
    """Whom a socket tells what happens at its end. Nothing that it does may take long."""

    def message(self, text: bytes) -> None:
        """One whole text message, which need not be UTF-8."""

    def closed(self, code: int, reason: str) -> None:
        """Once, when nothing more will come: by that end's close, or by ours; 1006 if there was
        neither. It comes after all messages, so that while reading is paused it waits, too."""

    def full(self, is_full: bool) -> None:
        """Much of what was sent waits for that end to read it; or no more. Who does not pause what
        it comes from fills the memory."""


class Nobody:
    """The listener of a socket that is paused until there is another one."""

    def message(self, text: bytes) -> None: ...

    def closed(self, code: int, reason: str) -> None: ...

    def full(self, is_full: bool) -> None: ...


class Socket(Reading):
    """One end."""

    __slots__ = ("_is_over", "_is_room_to_send", "_last_size", "_on_loss", "_pulse", "listener")

    def __init__(
        self,
        line: Line,
        frames: ServerProtocol | ClientProtocol,
        listener: Listener,
        timeouts: Timeouts,
        memory: Memory,
    ) -> None:
        """`frames` are open; from now on all that comes is for this socket. An end that does not
        read what there is no memory for is cut off."""
        transport = line.transport
        super().__init__(transport, frames, line.begun, memory.received)
        self.listener = listener
        self._is_room_to_send = memory.unsent
        self._on_loss = line.lost
        self._is_over = False
        self._last_size = 0
        """Of the last message that was sent, all of which is there until all of it has gone."""
        self._pulse = Pulse(self._loop, transport, self._ping, timeouts)
        if not self._is_clients:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        transport.set_protocol(self)
        transport.set_write_buffer_limits(UNSENT_BYTES)
        transport.pause_reading()
        self._later()

    def send(self, text: bytes | str) -> None:
        """A text message, which may not arrive. Nothing is sent once it is closed."""
        if self._frames.state is OPEN and not self._is_lost:
            raw = text.encode() if isinstance(text, str) else text
            self._last_size = len(raw)
            self._transport.write(frame_of(raw, self._is_clients))

    def close(self, code: int, reason: str = "") -> None:
        """After what was sent. The other end has a moment to close, too; then it is cut off."""
        if self._frames.state is OPEN:
            cut = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
            self._frames.send_close(code, cut)
            self._flush()
            self._go_soon()
        self._is_deaf = True
        self._left.clear()
        self.resume()

    def pause(self) -> None:
        """From now on nothing is told that comes, and soon nothing more comes. Who does it when it
        is told a message may keep that until `resume`: so long it counts as what has come."""
        if not self._is_paused and not self._is_deaf:
            self._is_paused = self._pulse.is_deaf = True
            self._pause_transport()

    def resume(self) -> None:
        """What had come is told in the loop's next turn, not within this call."""
        if self._is_paused:
            self._is_paused = self._pulse.is_deaf = False
            self._pulse.is_heard = True
            self._count_begun()
            self._later()

    # What the connection tells.

    def data_received(self, data: bytes) -> None:
        self._pulse.is_heard = True
        super().data_received(data)

    def pause_writing(self) -> None:
        self._pulse.unread()
        if not self._is_room_to_send(max(self._transport.get_write_buffer_size(), self._last_size)):
            self._transport.abort()
        if not self._is_over:
            self.listener.full(True)

    def resume_writing(self) -> None:
        self._pulse.read()
        self._is_room_to_send(0)
        if not self._is_over:
            self.listener.full(False)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._is_lost = True
        self._pulse.end()
        self._is_room_to_send(0)
        self._on_loss(exc)
        self._later()

    # What has come.

    def _give(self, text: bytes) -> None:
        try:
            self.listener.message(text)
        except Exception:
            log.exception("A message could not be handled")
            self.close(CloseCode.INTERNAL_ERROR)
        if len(text) > FREE_BYTES and not self._is_paused:
            self._count_begun()

    def _count_begun(self) -> None:
        """What has come of the next message is all that is here; nothing, once it is over."""
        if not self._is_over:
            size = len(self._message) + len(self._frames.reader.buffer)
            self._is_room_for(size if size > FREE_BYTES else 0)

    def _answer(self) -> None:
        """Pongs, which nobody needs who does not read them; or a close."""
        if self._pulse.is_unread and self._frames.state is OPEN:
            self._frames.writes.clear()
        self._flush()

    def _go_soon(self) -> None:
        self._pulse.end_soon()

    def _be_over(self) -> None:
        if not self._is_over:
            self._is_over = True
            # The parser and its frames refer to each other: what came of a last message would
            # stay until Python looks for such circles.
            self._message.clear()
            self._frames.reader.buffer.clear()
            self._waiting, self._at = b"", 0
            self._is_room_for(0)
            close = self._close()
            self.listener.closed(close.code, close.reason)

    def _close(self) -> Close:
        """That of whoever began it."""
        ours, theirs = self._frames.close_sent, self._frames.close_rcvd
        first = theirs if self._frames.close_rcvd_then_sent else ours
        return first or theirs or Close(CloseCode.ABNORMAL_CLOSURE, "")

    # What is sent.

    def _ping(self) -> None:
        if self._frames.state is OPEN:
            self._frames.send_ping(b"")
            self._flush()

    def _flush(self) -> None:
        written = self._frames.data_to_send()
        data = b"".join(written)  # pongs can be very many
        if self._is_lost:
            return
        if data:
            self._transport.write(data)
        if not written or written[-1]:
            return
        if self._frames.close_rcvd is not None:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()  # closed with bytes unread, it would lose the close
