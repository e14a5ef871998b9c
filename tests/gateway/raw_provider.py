"""A provider byte by byte, for what no server library would send."""

import socket
import threading
from collections.abc import Callable, Iterable

from tests.acceptor import Acceptor

Answer = Callable[[socket.socket], None]
"""Writes to a connection whose request has been read; it is closed after that."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
"""Of a body that ends with its connection."""
CLOSE = b"Connection: close\r\n"
"""Without it the next call might take the connection, a moment before its end is noticed."""


def sending(*pieces: bytes) -> Answer:
    """Each piece in a packet of its own."""

    def answer(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def whole(body: bytes, status: str = "200 OK", headers: bytes = b"") -> Answer:
    """A reply of JSON with its length; `headers` are whole lines."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return sending(head.encode() + CLOSE + headers + b"\r\n" + body)


def chunked(
    pieces: Iterable[bytes], headers: bytes = b"Content-Type: application/json\r\n"
) -> Answer:
    """A reply of unknown length; the pieces are made as they are taken."""

    def answer(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(head + CLOSE + headers + b"\r\n")
        for piece in pieces:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")

    return answer


class RawProvider(Acceptor):
    """`requests` are those that came, head and body."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0

    def accepted(self, connection: socket.socket) -> None:
        self.connections += 1
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                self.requests.append(_request(connection))
                self._answer(connection)
                # The peer reads on: only what it has not read makes closing a reset.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                return  # the peer has gone


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    ]
    while len(body) < int(lengths[0]):
        body += _some(connection)
    return head, body


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("closed in a request")
    return received
