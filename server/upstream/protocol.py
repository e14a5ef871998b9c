"""Protocol: what comes on a connection to an upstream, parsed a little at a time.

aiohttp parses at once all that the system has, up to 8 MiB, and also what nobody has asked for. So
a provider could hold a worker up for seconds by replies or chunks that are nearly empty, and fill
its memory on a connection of the pool.
"""

import asyncio
from collections.abc import Callable

from aiohttp.client_proto import ResponseHandler

from server.upstream.turns import LIGHT_BYTES, Turns

MOST_HEADS = 10
"""Of one reply: 100 Continue and the like, and then its own."""
PART_BYTES = 8 * 1024
"""Parsed before others have their turn, which takes 12 ms at most; most replies are smaller."""

UNDECIPHERED_BYTES = 16 * 1024
"""Of TLS: when so many wait, no more is read. uvloop would read 256 KiB, and keep that memory."""

_NOTHING = memoryview(b"")


class Protocol(ResponseHandler):
    """aiohttp's, of one connection."""

    is_asked = False
    """A request has been sent, and its reply has not come to its end."""
    owner = ""
    """Whose turns it takes."""
    on_data: Callable[[], None] | None = None
    """Called when something of the reply has been parsed, at once."""
    _waiting = _NOTHING
    _is_next = False
    """Some of what waits will be parsed in the loop's next turn."""
    _is_held = False
    _was_paused = False
    """Since the request."""
    _loss: tuple[BaseException | None] | None = None
    """Why the connection was lost, if it was before all that had come could be parsed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        super().__init__(loop)
        self._turns = turns

    @property
    def should_close(self) -> bool:
        is_over = bool(self._waiting) or self._loss is not None or super().should_close
        return is_over or self._turns.has_many_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._turns.connections += 1
        bound = getattr(transport, "set_read_buffer_limits", None)  # of TLS
        if bound is not None:
            bound(UNDECIPHERED_BYTES)

    def data_received(self, data: bytes) -> None:
        if not data:
            self._parse(data)  # aiohttp's own call to go on
        elif not self.is_asked:
            self._refuse()
        elif self._waiting:
            self._waiting = memoryview(bytes(self._waiting) + data)
        elif len(data) <= LIGHT_BYTES or (len(data) <= PART_BYTES and not self._turns.is_over):
            self._parse(data)
        else:
            self._waiting = memoryview(data)
            self._pause_reading_for_buffer()
            self._go_on()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.on_data is not None:
            self.on_data()

    def ask(self) -> None:
        """A request is about to be sent."""
        self.is_asked = True
        self._turns.calls += 1
        self._was_paused = False

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls it for each part that is read, and then looks through its parser. That has
        # nothing left where it was never paused; once it was, it may have though it goes on.
        if self._was_paused:
            super().resume_reading(resume_parser)
            self._go_on()

    @property
    def unparsed_bytes(self) -> int:
        """What has come takes so much memory until all of it is parsed."""
        return memoryview(self._waiting.obj).nbytes if self._waiting else 0

    def hold(self) -> None:
        """Nothing more is read until `release`."""
        self._is_held = True
        self._pause_transport_reading()

    def release(self) -> None:
        self._is_held = False
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        if not self._is_held:
            super()._resume_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        # With TLS the end comes though reading is paused.
        self._loss = (exc,)
        self._end_if_lost()

    def leave(self) -> None:
        """Nobody asks any more."""
        self._turns.calls -= 1
        self.is_asked, self.on_data = False, None
        if self._is_held:
            self.release()
        if self._loss is not None:
            self._loop.call_soon(self._end_if_lost)  # the parser may be at work

    def _go_on(self) -> None:
        # Not while the reader is slow, who resumes reading later.
        if self._waiting and not self._is_next and not self._reading_paused:
            self._is_next = True
            self._turns.later(self.owner, self._parse_some)
        elif self._loss is not None:
            self._loop.call_soon(self._end_if_lost)

    def _parse_some(self) -> None:
        self._is_next = False
        if self.transport is None or not self.is_asked or len(self._buffer) > MOST_HEADS:
            self._refuse()
            return
        part, self._waiting = bytes(self._waiting[:PART_BYTES]), self._waiting[PART_BYTES:]
        self._parse(part)
        self._go_on()
        if not self._waiting:
            self._waiting = _NOTHING  # an empty part of what has come would keep all of it
            self._resume_reading_for_buffer()

    def _end_if_lost(self) -> None:
        """Once all that came before is with its reader, or nobody wants it."""
        is_left = self.is_asked and (self._waiting or self._reading_paused)
        if self._loss is not None and not is_left:
            (reason,), self._loss, self._waiting = self._loss, None, _NOTHING
            self._turns.connections -= 1
            super().connection_lost(reason)

    def _refuse(self) -> None:
        """Nobody wants what comes."""
        self._waiting = _NOTHING
        self.force_close()
        if self.transport is not None:
            self.transport.abort()
        self._end_if_lost()
