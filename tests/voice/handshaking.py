"""A provider of voice that answers a handshake byte by byte, as no server library would."""

import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from websockets.utils import accept_key

from tests.acceptor import Acceptor

_KEY = re.compile(r"sec-websocket-key: *(\S+)", re.IGNORECASE)


class Handshaking(Acceptor):
    """Sends `answer`, when something has come after that what is in `then`, and takes whatever
    comes."""

    def __init__(self, answer: bytes, then: Callable[[], Iterable[bytes]] = tuple) -> None:
        super().__init__()
        self._answer = answer
        self._then = then

    def accepted(self, connection: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(self.answer_to(connection.recv(65536).decode()))
            connection.recv(65536)
            for piece in self._then():
                connection.sendall(piece)
            while connection.recv(65536):
                pass

    def answer_to(self, request: str) -> bytes:
        return self._answer


class Accepting(Handshaking):
    """Accepts it, and sends frames in the same breath, as `answer`."""

    def answer_to(self, request: str) -> bytes:
        key = _KEY.search(request)
        assert key
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key[1])}\r\n\r\n"
        )
        return head.encode() + super().answer_to(request)
