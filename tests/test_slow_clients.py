"""No client holds a connection for longer than the limits, whatever it does or leaves undone."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api import Api
from tests.hurried import ALL_LIMITS_SECONDS, LIMIT_SECONDS, Hurried
from tests.raw import Response, connect, exchange, parse, request

# One limit for what it does wrong, one to read the reply; and a machine that is busy.
BOUND_SECONDS = 2 * ALL_LIMITS_SECONDS + 10
PAUSE_SECONDS = LIMIT_SECONDS / 10

POST = b"POST /tenants HTTP/1.1"
LENGTH = b"Content-Length: 1000"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture(autouse=True)
def no_fault_is_logged(impatient: Hurried) -> Iterator[None]:
    before = len(impatient.text())
    yield
    logged = impatient.text()[before:]
    assert "[ERROR]" not in logged
    assert "Traceback" not in logged


def received_until_closed(connection: socket.socket, drip: bytes) -> bytes:
    """What the server sends to a client that drips on until the connection is no more.

    The server must end it: neither its reply nor that it says no more ends this client.
    """
    received = b""
    deadline = time.monotonic() + BOUND_SECONDS
    connection.settimeout(PAUSE_SECONDS)
    while time.monotonic() < deadline:
        try:
            if portion := connection.recv(65536):
                received += portion
                continue
            if not drip:
                return received
            connection.sendall(drip)
            time.sleep(PAUSE_SECONDS)
        except TimeoutError:
            if drip:
                connection.sendall(drip)
        except (BrokenPipeError, ConnectionResetError):
            return received
    raise AssertionError(f"still open, after {received!r}")


IDLE = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
WEBSOCKET = b"GET /livez HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n"

# What a client sends at once, what it sends again and again after that, and the replies.
CLIENTS = {
    "request line": (b"G", b"E", [408]),
    "header": (b"GET /livez HTTP/1.1\r\nHost: test\r\nX-A: ", b"b", [408]),
    "headers": (b"GET /livez HTTP/1.1\r\nHost: test\r\n", b"X-A: b\r\n", [408]),
    "header, then silence": (b"GET /livez HTTP/1.1\r\n", b"", [408]),
    "second header": (IDLE + b"G", b"E", [200, 408]),
    "body": (request(POST, LENGTH), b" ", [408]),
    "body, then silence": (request(POST, LENGTH, body=b"{"), b"", [408]),
    "chunk": (request(POST, CHUNKED, body=b"100\r\n"), b" ", [408]),
    "chunk header": (request(POST, CHUNKED, body=b"1;"), b"a", [408]),
    "chunks": (request(POST, CHUNKED), b"1\r\n \r\n", [408]),
    "last chunk": (request(POST, CHUNKED, body=b"2\r\n{}\r\n0\r\n"), b"", [408]),
    "body for a websocket": (request(POST, LENGTH, b"Upgrade: websocket"), b" ", [408]),
    "refused, sends on": (POST + b"\r\nHost: test\r\n" + LENGTH + b"\r\n\r\n", b" ", [401]),
    "no request, sends on": (b"\x00", b" ", [400]),
    "too large, sends on": (request(POST, b"Content-Length: 2000000"), b" ", [413]),
    "bad chunk, sends on": (request(POST, CHUNKED, body=b"x\r\n"), b" ", [400]),
    "last reply, sends on": (request(b"GET / HTTP/1.1", b"Connection: close"), b" ", [200]),
    "nothing": (b"", b"", []),
    "idle": (IDLE, b"", [200]),
    "idle after three": (IDLE * 3, b"", [200] * 3),
    "idle websocket": (WEBSOCKET, b"", [200]),
}


def _answers(url: str, sent: bytes, drip: bytes) -> list[Response]:
    with connect(url) as connection:
        connection.sendall(sent)
        return parse(received_until_closed(connection, drip))


@pytest.fixture(scope="module")
def answers(impatient: Hurried) -> dict[str, Future[list[Response]]]:
    """To all of them at once, as each takes its time."""
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        return {
            name: pool.submit(_answers, impatient.url, sent, drip)
            for name, (sent, drip, _) in CLIENTS.items()
        }


@pytest.mark.parametrize("name", CLIENTS)
def test_connection_is_closed(answers: dict[str, Future[list[Response]]], name: str) -> None:
    found = answers[name].result()
    assert [reply.status for reply in found] == CLIENTS[name][2]
    for reply in found:
        if reply.status == 408:
            assert reply.body == b'{"error":"Request Timeout"}'
            assert reply.headers["connection"] == "close"


def test_body_that_is_awaited_in_vain(impatient: Hurried) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(request(POST, LENGTH, b"Expect: 100-continue"))
        received = received_until_closed(connection, b"")
    proceed, _, rest = received.partition(b"\r\n\r\n")
    assert proceed == b"HTTP/1.1 100 Continue"
    assert [reply.status for reply in parse(rest)] == [408]


def test_client_that_reads_no_reply(impatient: Hurried) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", urlsplit(impatient.url).port))
        connection.settimeout(PAUSE_SECONDS)
        waiting = b"GET /docs/openapi.json HTTP/1.1\r\nHost: test\r\n\r\n" * 10_000
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline:
            try:
                waiting = waiting[connection.send(waiting) :]
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return
    raise AssertionError("still open")


def test_slow_handler_is_no_slow_client(impatient: Hurried) -> None:
    (found,) = exchange(impatient.url, request(b"GET /think HTTP/1.1", b"Connection: close"))
    assert found.body == b'{"thought":true}'


def test_busy_connection_is_kept(impatient: Hurried) -> None:
    """For longer than any limit, as no pause between its requests is too long."""
    until = time.monotonic() + ALL_LIMITS_SECONDS
    with connect(impatient.url) as connection:
        while time.monotonic() < until:
            connection.sendall(IDLE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(PAUSE_SECONDS)


def test_slow_request_changes_nothing(impatient: Hurried) -> None:
    with httpx.Client(base_url=impatient.url) as client:
        user = Api.new_tenant(client).login()
        head = f"POST /{user.api.tenant_id}/charges HTTP/1.1\r\nX-API-Key: {user.api_key}".encode()
        with connect(impatient.url) as connection:
            connection.sendall(head + b"\r\nHost: test\r\n" + LENGTH + b'\r\n\r\n{"tokens":5}')
            (found,) = parse(received_until_closed(connection, b" "))
        assert found.status == 408
        assert user.balance()["tokensLeft"] == 100
