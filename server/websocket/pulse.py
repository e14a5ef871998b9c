"""Pulse: whether the other end of a connection still is there, and reads."""

import asyncio
from collections.abc import Callable

from server.timeouts import Timeouts


class Pulse:
    """Of one connection. It is cut off when nothing is heard from it between two heartbeats, not
    even that it has read something, and when it reads nothing for
    Timeouts.unread_messages."""

    __slots__ = (
        "_end",
        "_heartbeat",
        "_least",
        "_left",
        "_loop",
        "_ping",
        "_since",
        "_timeouts",
        "_transport",
        "_watch",
        "is_deaf",
        "is_heard",
        "is_unread",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        ping: Callable[[], None],
        timeouts: Timeouts,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._ping = ping
        self._timeouts = timeouts
        self.is_heard = True
        """Something has come since the last heartbeat."""
        self.is_deaf = False
        """We do not read: it cannot be heard."""
        self.is_unread = False
        """Much waits for it to read."""
        self._left = 0
        self._least, self._since = 0, 0.0
        self._end: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._heartbeat = loop.call_later(timeouts.heartbeat, self._beat)

    def _beat(self) -> None:
        left = self._transport.get_write_buffer_size()
        if not (self.is_heard or self.is_deaf or left < self._left):
            self._transport.abort()
            return
        self.is_heard = False
        self._ping()
        self._left = self._transport.get_write_buffer_size()
        self._heartbeat = self._loop.call_later(self._timeouts.heartbeat, self._beat)

    def unread(self) -> None:
        self.is_unread = True
        self._least = self._transport.get_write_buffer_size()
        self._since = self._loop.time()
        self._watch = self._loop.call_later(self._timeouts.client_check, self._look)

    def read(self) -> None:
        self.is_unread = False
        if self._watch is not None:
            self._watch.cancel()

    def _look(self) -> None:
        """A slow reader only delays."""
        left, now = self._transport.get_write_buffer_size(), self._loop.time()
        if left < self._least:
            self._least, self._since = left, now
        elif now - self._since > self._timeouts.unread_messages:
            self._transport.abort()
            return
        self._watch = self._loop.call_later(self._timeouts.client_check, self._look)

    def end_soon(self) -> None:
        """It is closed, and has a moment to go."""
        self._heartbeat.cancel()
        if self._end is None:
            self._end = self._loop.call_later(self._timeouts.linger, self._transport.abort)

    def end(self) -> None:
        """It has gone."""
        for timer in (self._heartbeat, self._watch, self._end):
            if timer is not None:
                timer.cancel()
