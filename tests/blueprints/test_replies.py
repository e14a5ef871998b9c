"""What every reply carries, and the bodies that say no more than they should."""

import re
import socket
import struct

import httpx
import pytest

from tests.api import ADMIN, Api
from tests.hurried import CLIENTS, Hurried
from tests.processes import Server, Valkey
from tests.raw import connect, exchange, request

GET = b"GET /livez HTTP/1.1"
CLOSE = b"Connection: close"


@pytest.mark.parametrize("given", [b"a", b"0", b"A-b.c_9", b"x" * 64])
def test_sane_request_id_is_kept(server: Server, given: bytes) -> None:
    for line, status in ((GET, 200), (b"GET /none HTTP/1.1", 404), (b"PUT / HTTP/1.1", 405)):
        (found,) = exchange(server.url, request(line, b"X-Request-ID: " + given, CLOSE))
        assert (found.status, found.headers["x-request-id"]) == (status, given.decode())


@pytest.mark.parametrize(
    "given",
    [b"", b"x" * 65, b"a b", b"a,b", b"a/b", b'"a"', b"a\tb", b"\xc3\xa9", b"\xff", b"\xd9\xa2"],
)
def test_insane_request_id_is_replaced(server: Server, given: bytes) -> None:
    sent = request(GET, b"X-Request-ID: " + given)
    first, second = exchange(server.url, sent + request(GET, CLOSE))
    ids = {found.headers["x-request-id"] for found in (first, second)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{24}", request_id) for request_id in ids)


@pytest.mark.parametrize(
    "path",
    ["/none", "/livez/more", "/%2e%2e/livez", "/tenants/a/b/c", "/%ff", "/%00", "/%zz"],
)
def test_not_found(client: httpx.Client, path: str) -> None:
    found = client.get(path)
    assert (found.status_code, found.content) == (404, b'{"error":"Not Found"}')
    assert found.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/livez", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/{tenant}/charges", {"POST", "OPTIONS"}),
        ("DELETE", "/{tenant}/admin/config", {"GET", "HEAD", "PUT", "OPTIONS"}),
        ("PUT", "/tenants", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("TRACE", "/{tenant}/balance", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/tenants/a", {"DELETE", "OPTIONS"}),
    ],
)
def test_method_not_allowed(api: Api, method: str, path: str, allow: set[str]) -> None:
    found = api.client.request(method, path.format(tenant=api.tenant_id), headers=ADMIN)
    assert (found.status_code, found.content) == (405, b'{"error":"Method Not Allowed"}')
    assert set(found.headers["allow"].split(", ")) == allow


@pytest.mark.parametrize("tenant", ["nobody", "UPPER", "-a", "a" * 64, "%ff", "a%00", "%2e%2e"])
def test_invalid_tenant(client: httpx.Client, tenant: str) -> None:
    found = client.get(f"/{tenant}/balance")
    assert (found.status_code, found.content) == (400, b'{"error":"Invalid tenant ID"}')


def test_internal_error(impatient: Hurried) -> None:
    before = len(impatient.text())
    found = httpx.get(f"{impatient.url}/fail", headers={"X-Request-ID": "it-fails"})
    assert (found.status_code, found.content) == (500, b'{"error":"Internal Server Error"}')
    assert found.headers["x-request-id"] == "it-fails"
    logged = impatient.text()[before:]
    assert logged.startswith("[ERROR] it-fails Internal Server Error\nTraceback")
    assert logged.count("[ERROR]") == 1
    assert logged.count("RuntimeError: a detail that is nobody's business") == 1


PARTS = [
    b"GET /li",
    b"GET /livez HTTP/1.1\r\nHost: test\r\nX-",
    request(b"POST /tenants HTTP/1.1", b"Content-Length: 100", body=b"{"),
    request(b"POST /tenants HTTP/1.1", b"Transfer-Encoding: chunked", body=b"1\r\n{\r"),
    request(b"GET /think HTTP/1.1"),
    request(GET) * 50,
    request(b"POST /abc/auth/anonymous HTTP/1.1", b"Content-Length: 0") * 50,
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("end", ["close", "reset", "half"])
def test_client_that_leaves_is_no_fault(impatient: Hurried, part: bytes, end: str) -> None:
    before = len(impatient.text())
    with connect(impatient.url) as connection:
        connection.sendall(part)
        # Until the server has read it all, and is at work.
        exchange(impatient.url, request(GET, CLOSE))
        if end == "half":
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        if end == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    for _ in range(3):
        assert exchange(impatient.url, request(GET, CLOSE))[0].status == 200
    logged = impatient.text()[before:]
    assert "[ERROR]" not in logged
    assert "Traceback" not in logged


def test_stop_amid_unfinished_requests(valkey: Valkey, impatient: Hurried) -> None:
    """Whatever is under way when the time for it is over, the server ends in good order."""
    output = impatient.output.with_name("stopped")
    with Hurried(output, valkey.url, CLIENTS, GRACE_SECONDS="0") as server:
        connections = [connect(server.url) for _ in PARTS]
        for connection, part in zip(connections, PARTS, strict=True):
            connection.sendall(part)
        exchange(server.url, request(GET, CLOSE))
        assert server.stop() == 0
        for connection in connections:
            connection.close()
        assert "[ERROR]" not in server.text()
        assert "Traceback" not in server.text()
