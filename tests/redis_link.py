"""A way to a Valkey that can be held up: what is on it then waits, as if Redis stalled."""

import socket
import threading
from collections import deque
from contextlib import suppress

from tests.acceptor import Acceptor
from tests.processes import Valkey

# What the server asks by itself, twice a second, whatever its clients do.
LOOK = b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"
# Likewise, once a second: which calls are due.
DUE = b"{calls}:due"


class RedisLink(Acceptor):
    """A server that is given `redis_url` reaches `valkey`, one flush of its commands after the
    other; the next one does not begin before the replies to this one are there. A look at its
    memory always passes, and one at the calls that are due: no test has asked for it."""

    def __init__(self, valkey: Valkey) -> None:
        super().__init__()
        self.redis_url = self.url.replace("http", "redis")
        self.passed = b""
        """All that Valkey has got."""
        self.valkey = valkey
        """Where the next connection leads to."""
        self._changed = threading.Condition()
        self._held: bytes | None = None
        self._is_shut = False
        self._line: deque[object] = deque()
        self._may_pass = 0

    def hold(self, containing: bytes = b"") -> None:
        """The first flush that contains this, and all that come after it, wait."""
        with self._changed:
            self._held = containing

    def let_one_through(self) -> None:
        """A flush that waits, or the next one if none does; those after it wait."""
        with self._changed:
            self._may_pass += 1
            self._changed.notify_all()

    def release(self) -> None:
        with self._changed:
            self._held, self._is_shut, self._may_pass = None, False, 0
            self._changed.notify_all()

    def is_waiting(self) -> bool:
        with self._changed:
            return bool(self._line)

    def has_stopped(self) -> bool:
        """Has the flush come that `hold` is for?"""
        with self._changed:
            return self._is_shut

    def accepted(self, connection: socket.socket) -> None:
        valkey = socket.create_connection(("127.0.0.1", self.valkey.port))
        for one in (connection, valkey):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in ((connection, valkey, True), (valkey, connection, False)):
            threading.Thread(target=self._pump, args=work, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, to_valkey: bool) -> None:
        with suppress(OSError):
            while portion := source.recv(1024 * 1024):
                if to_valkey and portion != LOOK and DUE not in portion:
                    self._send_in_turn(portion, target)
                else:
                    target.sendall(portion)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _send_in_turn(self, portion: bytes, target: socket.socket) -> None:
        """Those of all connections in the order in which they came."""
        turn = object()
        with self._changed:
            if self._held is not None and self._held in portion:
                self._is_shut = True
            self._line.append(turn)
            self._changed.wait_for(
                lambda: self._line[0] is turn and (not self._is_shut or self._may_pass)
            )
            if self._is_shut:
                self._may_pass -= 1
            self.passed += portion
            try:
                target.sendall(portion)
            finally:
                self._line.popleft()
                self._changed.notify_all()

    def __exit__(self, *of_exception: object) -> None:
        self.release()
        super().__exit__(None, None, None)
