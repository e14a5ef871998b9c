"""Proper requests work, however unusual; and bodies that are too large."""

import json
import re
import socket

import pytest

from tests.api import Api, User
from tests.processes import Server
from tests.raw import Response, connect, exchange, parse

MIB = 1024 * 1024
CLOSE = b"Connection: close"


def charge(user: User, *headers: bytes, body: bytes = b"") -> bytes:
    line = f"POST /{user.api.tenant_id}/charges HTTP/1.1".encode()
    key = f"X-API-Key: {user.api_key}".encode()
    return b"\r\n".join([line, b"Host: test", key, *headers, b"", body])


def get(*headers: bytes) -> bytes:
    return b"\r\n".join([b"GET /livez HTTP/1.1", b"Host: test", *headers, b"", b""])


def read_one(connection: socket.socket) -> Response:
    """The next response, on a connection that stays open."""
    received = b""
    while not re.search(rb"\r\n\r\n(?:.+|\Z)", received, re.DOTALL) or received.endswith(b"\r\n"):
        portion = connection.recv(65536)
        assert portion
        received += portion
    (found,) = parse(received)
    return found


@pytest.fixture
def user(api: Api) -> User:
    return api.login()


@pytest.mark.parametrize(
    "chunks",
    [
        b'c\r\n{"tokens":2}\r\n0\r\n\r\n',
        b'1\r\n{\r\nB\r\n"tokens":2}\r\n0\r\n\r\n',
        b'000C;a=b;c="d"\r\n{"tokens":2}\r\n000;e\r\n\r\n',
        b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"tokens":2}') + b"0\r\n\r\n",
    ],
)
def test_chunked_upload(user: User, server: Server, chunks: bytes) -> None:
    sent = charge(user, b"Transfer-Encoding: chunked", body=chunks) + get(CLOSE)
    assert [reply.status for reply in exchange(server.url, sent)] == [200, 200]
    pieces = [bytes([byte]) for byte in sent]
    assert [reply.status for reply in exchange(server.url, *pieces)] == [200, 200]
    assert user.balance()["tokensLeft"] == 96


def test_pipelined_requests(user: User, server: Server) -> None:
    """Answered in their order, each once."""
    body = b'{"tokens":1}'
    sent = b"".join(
        charge(user, b"Content-Length: 12", b"X-Request-ID: %d" % number, body=body)
        for number in range(20)
    )
    found = exchange(server.url, sent + get(CLOSE))
    assert [reply.headers["x-request-id"] for reply in found[:-1]] == [str(n) for n in range(20)]
    assert [json.loads(reply.body)["tokensLeft"] for reply in found[:-1]] == [*range(99, 79, -1)]


@pytest.mark.parametrize(
    "header",
    [
        b"X-A: b : c",
        b"X-A: \tb\t ",
        b"X-A:",
        b"X-A:b",
        b"X-A: \xc3\xa9\xff",
        b"!#$%&'*+-.^_`|~: b",
        b"Upgrade: websocket",
        b"Content-Length: 0",
        b"Content-Length:\t000 ",
        b"X-A: " + b"b" * 7000,
    ],
)
def test_unusual_headers(server: Server, header: bytes) -> None:
    assert [reply.status for reply in exchange(server.url, get(header, CLOSE))] == [200]


@pytest.mark.parametrize("host", [b"a", b"a:3000", b"A-b.c_d.", b"127.0.0.1:80", b"[::1]:80"])
def test_hosts(server: Server, host: bytes) -> None:
    sent = b"GET /livez HTTP/1.1\r\nhOST: " + host + b"\r\nConnection: close\r\n\r\n"
    assert [reply.status for reply in exchange(server.url, sent)] == [200]


def test_keep_alive_and_close(server: Server) -> None:
    with connect(server.url) as connection:
        for _ in range(3):
            connection.sendall(get())
            assert read_one(connection).headers["connection"] == "keep-alive"
        connection.sendall(get(CLOSE))
        assert read_one(connection).headers["connection"] == "close"
        assert connection.recv(1) == b""
    # Which knows no Host: balancers ask without one.
    for old in (b"GET /livez HTTP/1.0\r\nHost: test\r\n\r\n", b"GET /readyz HTTP/1.0\r\n\r\n"):
        assert [reply.status for reply in exchange(server.url, old)] == [200]


@pytest.mark.parametrize("framing", [b"Content-Length: 12", b"Transfer-Encoding: chunked"])
def test_expect_continue(user: User, server: Server, framing: bytes) -> None:
    """The client is told to go on before it sends any of the body."""
    body = b'{"tokens":2}' if b"Length" in framing else b'c\r\n{"tokens":2}\r\n0\r\n\r\n'
    with connect(server.url) as connection:
        connection.sendall(charge(user, b"Expect: 100-continue", framing))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_one(connection).body == b'{"tokensLeft":98}'


@pytest.mark.parametrize("expected", [b"100-continue", b"100-Continue", b"miracles"])
def test_an_old_client_that_expects_something_just_gets_its_reply(
    user: User, server: Server, expected: bytes
) -> None:
    """RFC 9110, 15.2: HTTP/1.0 has no 1xx."""
    sent = charge(user, b"Expect: " + expected, b"Content-Length: 12", body=b'{"tokens":2}')
    (found,) = exchange(server.url, sent.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (found.status, found.body) == (200, b'{"tokensLeft":98}')


@pytest.mark.parametrize(
    ("line", "status"),
    [
        # A proxy may be asked so, and passes it on (RFC 9112, 3.2.2).
        (b"GET http://test/livez", 200),
        (b"GET HTTPS://other.example:8443/livez?a", 200),
        (b"GET http://[::1]:80/livez", 200),
        (b"OPTIONS *", 204),
        (b"OPTIONS http://test/livez", 204),
        (b"GET /livez?a=|{}<>\\^`[]%%&b=//?", 200),
        # Paths are taken as they are: no segment is decoded, removed or merged.
        (b"GET //livez", 404),
        (b"GET //test/livez", 404),
        (b"GET /./livez", 404),
        (b"GET /abc/../livez", 404),
        (b"GET /abc/%2e%2e/livez", 404),
        (b"GET /%6civez", 404),
        (b"GET /livez%", 404),
        (b"GET /abc%2fbalance", 404),
        (b"GET /livez;a=b", 404),
        (b"GET /abc;a/balance", 400),
        (b"GET /%61bc/balance", 400),
    ],
)
def test_targets(server: Server, line: bytes, status: int) -> None:
    (found,) = exchange(server.url, line + b" HTTP/1.1\r\nHost: test\r\n" + CLOSE + b"\r\n\r\n")
    assert found.status == status


def test_too_large_a_body_is_not_asked_for(user: User, server: Server) -> None:
    length = b"Content-Length: %d" % (MIB + 1)
    (found,) = exchange(server.url, charge(user, b"Expect: 100-continue", length))
    assert found.status == 413


def test_body_of_a_refused_request_is_no_request(user: User, server: Server) -> None:
    hidden = get()
    user.api_key = "unknown"
    sent = charge(user, b"Content-Length: %d" % len(hidden), body=hidden)
    assert [reply.status for reply in exchange(server.url, sent + get(CLOSE))] == [401, 200]


def test_body_that_no_route_reads(server: Server) -> None:
    before = len(server.text())
    sent = get(b"Content-Length: 2") + b"{}" + get(CLOSE)
    assert [reply.status for reply in exchange(server.url, sent)] == [200, 200]
    assert "not consumed" not in server.text()[before:]


def test_body_of_1_mib(user: User, server: Server) -> None:
    body = b'{"tokens":2}'.ljust(MIB)
    sent = charge(user, b"Content-Length: %d" % MIB, CLOSE, body=body)
    (found,) = exchange(server.url, sent)
    assert found.body == b'{"tokensLeft":98}'


@pytest.mark.parametrize("size", [MIB + 1, 16 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_larger_body(user: User, server: Server, size: int, chunked: bool) -> None:
    """413, which also a client that first sends everything can read."""
    body = b'{"tokens":2}'.ljust(size)
    if chunked:
        sent = charge(user, b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n" % (size, body))
    else:
        sent = charge(user, b"Content-Length: %d" % size, body=body)
    (found,) = exchange(server.url, sent + get())
    assert found.status == 413
    assert found.body == b'{"error":"Payload Too Large"}'
    assert found.headers["connection"] == "close"
    assert user.balance()["tokensLeft"] == 100
