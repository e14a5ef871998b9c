"""HTTP byte by byte, for what no client library would send."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.processes import ADMIN_TOKEN

AUTHORIZATION = f"Authorization: Bearer {ADMIN_TOKEN}".encode()
WAIT_SECONDS = 5


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request of exactly these lines, with a Host before and the admin token after them."""
    return b"\r\n".join([line, b"Host: test", *headers, AUTHORIZATION, b"", body])


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    connection = socket.create_connection((parts.hostname, parts.port or 80), WAIT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(url: str, *pieces: bytes, body: bool = True) -> list[Response]:
    """The replies to what is sent, up to the server's end of the connection, which must come.

    Without a `body`, as HEAD has it, each is a head alone.
    """
    with connect(url) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while portion := connection.recv(65536):
            received += portion
    return parse(received, body)


def parse(received: bytes, body: bool = True) -> list[Response]:
    """The responses of which exactly `received` consists, as in `exchange`."""
    found = []
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, head
        line, *lines = head.decode().split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, value in (text.split(": ", 1) for text in lines)}
        length = int(headers.get("content-length", "0")) if body else 0
        assert len(received) >= length
        found.append(Response(int(status), headers, received[:length]))
        received = received[length:]
    return found
