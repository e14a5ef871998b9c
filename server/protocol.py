"""Protocol: connections of clients, which are ended if they send or read too slowly. Sanic's own
timeouts restart at each byte received.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from sanic.exceptions import BadRequest, RequestTimeout
from sanic.http import Http, Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from server import connections
from server.http import StrictHttp
from server.timeouts import Timeouts

# Bytes that no head may have, whatever follows. Sanic reads a head only when its end is there, and
# after these bytes that may never come.
_NO_HEAD = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class StrictProtocol(HttpProtocol):
    """Bounds every wait for a client: for its next request, a header, a body, its reading.

    By `timeouts` of the app's ctx, and its KEEP_ALIVE_TIMEOUT.
    """

    HTTP_CLASS = StrictHttp
    __slots__ = ("_handed_over", "_timeouts", "_unread_since", "on_loss")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_loss: Callable[[asyncio.Task[None]], bool] | None = None
        """Of a handler that may have to come to its end without its client: called with its task
        when the connection is lost; False lets that be cancelled, as others are."""
        self._unread_since = 0.0
        self._handed_over: asyncio.Transport | None = None
        self._timeouts: Timeouts = self.app.ctx.timeouts

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(connections.UNREAD_BYTES)
        self._time = monotonic()  # as if something had come
        connections.make_room(self.connections)

    def hand_over(self) -> asyncio.Transport:
        """The transport, for whoever sets a protocol of its own on it and tells `connection_lost`
        of its end. The handler returns then, and has nothing to reply. Until that end, this is one
        of the worker's connections.

        Raises BadRequest if something has come behind the request: nobody could know whether the
        client, or a proxy, means it for that protocol.
        """
        transport = self.transport
        if self.recv_buffer:
            raise BadRequest("Bad Request")
        if transport is None or transport.is_closing():
            raise asyncio.CancelledError  # as all whose client has gone
        self._handed_over, self.transport = transport, None  # Sanic closes what it has
        return transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self._handed_over = None
        if self._task is not None and self.on_loss is not None and self.on_loss(self._task):
            self._task = None  # which Sanic would cancel
        super().connection_lost(exc)

    def receive_more(self) -> Coroutine[Any, Any, None]:
        http = self._http
        if http.stage is Stage.REQUEST:
            # The last byte again: a CR depends on what comes after it.
            if _NO_HEAD.search(self.recv_buffer, max(http.head_bytes - 1, 0)):
                raise BadRequest("Bad Request")
            http.head_bytes = len(self.recv_buffer)
        return super().receive_more()

    def check_timeouts(self) -> None:
        """Instead of Sanic's, which bounds only pauses, and ends with `Upgrade: websocket`."""
        http, task = self._http, self._task
        if http is None or task is None:
            return
        self._callback_check_timeouts = self.loop.call_later(
            self._timeouts.client_check, self.check_timeouts
        )
        now = monotonic()
        if self._unread_since and now - self._unread_since > self._timeouts.unread:
            self.abort()
            return
        seconds = self._seconds_to_wait(http)
        if seconds is None:
            http.waiting_since = 0.0
        elif not http.waiting_since:
            http.waiting_since = now
        elif now - http.waiting_since > seconds:
            if http.stage is not Stage.IDLE:
                http.exception = RequestTimeout("Request Timeout")
            task.cancel()

    def _seconds_to_wait(self, http: Http) -> float | None:
        """None if it is not for the client's bytes that we wait."""
        if http.stage is Stage.REQUEST:
            return self._timeouts.header
        if http.stage is Stage.IDLE and not http.keep_alive:
            return self._timeouts.linger
        if http.request_body:
            return self._timeouts.body
        return float(self.keep_alive_timeout) if http.stage is Stage.IDLE else None

    @property
    def waits_for_client(self) -> bool:
        """For its bytes, or for it to read what was sent to it."""
        http = self.http
        if self._handed_over is not None:
            return False
        return not http or bool(http.request_body or self._unread_since)

    def pause_writing(self) -> None:
        self._unread_since = monotonic()
        connections.unread(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = 0.0
        connections.read(self)
        super().resume_writing()

    def abort(self) -> None:
        # Sanic's also forgets the transport, and then fails if it is still reading a header.
        transport = self.transport or self._handed_over
        if transport:
            transport.abort()
