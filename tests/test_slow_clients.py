"""No client holds a connection for longer than the limits, whatever it does or leaves undone."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api
from tests.impatient import ALL_LIMITS_SECONDS, LIMIT_SECONDS, Impatient
from tests.processes import Valkey
from tests.raw import connect, exchange, parse, request

# One limit for what it does wrong, one to read the reply; and a machine that is busy.
BOUND_SECONDS = 2 * ALL_LIMITS_SECONDS + 2
PAUSE_SECONDS = LIMIT_SECONDS / 10

POST = b"POST /tenants HTTP/1.1"
LENGTH = b"Content-Length: 1000"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def impatient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impatient]:
    output = tmp_path_factory.mktemp("impatient") / "out"
    with Impatient(output, valkey.url) as impatient:
        yield impatient
    assert "[ERROR]" not in impatient.text()
    assert "Traceback" not in impatient.text()


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


SLOW = {
    "request line": (b"G", b"E"),
    "header": (b"GET /livez HTTP/1.1\r\nHost: test\r\nX-A: ", b"b"),
    "headers": (b"GET /livez HTTP/1.1\r\nHost: test\r\n", b"X-A: b\r\n"),
    "header, then silence": (b"GET /livez HTTP/1.1\r\n", b""),
    "body": (request(POST, LENGTH), b" "),
    "body, then silence": (request(POST, LENGTH, body=b"{"), b""),
    "chunk": (request(POST, CHUNKED, body=b"100\r\n"), b" "),
    "chunk header": (request(POST, CHUNKED, body=b"1;"), b"a"),
    "chunks": (request(POST, CHUNKED), b"1\r\n \r\n"),
    "last chunk": (request(POST, CHUNKED, body=b"2\r\n{}\r\n0\r\n"), b""),
    "body for a websocket": (request(POST, LENGTH, b"Upgrade: websocket"), b" "),
}


@pytest.mark.parametrize(("sent", "drip"), SLOW.values(), ids=SLOW.keys())
def test_too_slow_a_request(impatient: Impatient, sent: bytes, drip: bytes) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(sent)
        (found,) = parse(received_until_closed(connection, drip))
    assert found.status == 408
    assert found.body == b'{"error":"Request Timeout"}'
    assert found.headers["connection"] == "close"


def test_body_that_is_awaited_in_vain(impatient: Impatient) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(request(POST, LENGTH, b"Expect: 100-continue"))
        received = received_until_closed(connection, b"")
    proceed, _, rest = received.partition(b"\r\n\r\n")
    assert proceed == b"HTTP/1.1 100 Continue"
    assert [reply.status for reply in parse(rest)] == [408]


REFUSED = {
    "no credential": (401, b"POST /tenants HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"),
    "no request": (400, b"\x00"),
    "too large": (413, request(POST, b"Content-Length: 2000000")),
    "bad chunk": (400, request(POST, CHUNKED, body=b"x\r\n")),
}


@pytest.mark.parametrize(("status", "sent"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_client_that_sends_on(impatient: Impatient, status: int, sent: bytes) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(sent)
        (found,) = parse(received_until_closed(connection, b" "))
    assert found.status == status


@pytest.mark.parametrize("headers", [b"", b"Upgrade: websocket\r\n"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_idle_connection(impatient: Impatient, count: int, headers: bytes) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\n%b\r\n" % headers * count)
        found = parse(received_until_closed(connection, b""))
    assert [reply.status for reply in found] == [200] * count


def test_client_that_reads_no_reply(impatient: Impatient) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", impatient.port))
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


def test_slow_handler_is_no_slow_client(impatient: Impatient) -> None:
    (found,) = exchange(impatient.url, request(b"GET /think HTTP/1.1", b"Connection: close"))
    assert found.body == b'{"thought":true}'


def test_slow_request_changes_nothing(impatient: Impatient) -> None:
    with httpx.Client(base_url=impatient.url) as client:
        user = Api.new_tenant(client).login()
        head = f"POST /{user.api.tenant_id}/charges HTTP/1.1\r\nX-API-Key: {user.api_key}".encode()
        with connect(impatient.url) as connection:
            connection.sendall(head + b"\r\nHost: test\r\n" + LENGTH + b'\r\n\r\n{"tokens":5}')
            (found,) = parse(received_until_closed(connection, b" "))
        assert found.status == 408
        assert user.balance()["tokensLeft"] == 100
