"""Requests that two HTTP parsers could read differently are refused, all others are served."""

import re

import pytest

from tests.processes import Server
from tests.raw import exchange, request

SECOND = b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
POST = b"POST /tenants HTTP/1.1"
GET = b"GET /livez HTTP/1.1"

ODD_HEADERS = [
    # Spaces, line ends, folding.
    b"Content-Length : 2",
    b"Content-Length\t: 2",
    b"Transfer-Encoding : chunked",
    b"X-A: b\nContent-Length: 2",
    b"X-A: b\n\nGET /livez HTTP/1.1",
    b"X-A: b\rX-C: d",
    b"X-A: b\r\r\nX-C: d",
    b"X-A: b\r\n c",
    b"X-A: b\r\n\tc",
    b"Transfer-Encoding:\r\n chunked",
    b" Content-Length: 2",
    # Transfer-Encoding next to Content-Length, or in an odd form.
    b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 2",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: chunked;a=b",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \xc2\xa0chunked",
    # Content-Length that is not a plain number, once.
    *(
        b"Content-Length: " + value
        for value in (
            b"",
            b"+2",
            b"-2",
            b"0x2",
            b"2_0",
            b"2.0",
            b"2e0",
            b"two",
            b"2, 2",
            b"2 2",
            b"2;a",
            b"9" * 19,
            b"\xd9\xa2",
            b"\xef\xbc\x92",
            b"\xc2\xb2",
            b"\xc2\xa02",
            b"2\xe2\x80\x83",
        )
    ),
    b"Content-Length: 2\r\nContent-Length: 2",
    b"Content-Length: 2\r\nContent-Length: 20",
    b"Content-Length: 2\r\ncontent-length: 2",
    # A second Host, or several in one.
    b"Host: test",
    b"host: other",
    # A second credential: `request` sends one.
    b"Authorization: Bearer other",
    b"authorization: Bearer test-admin-token",
    b"X-API-Key: a\r\nx-api-key: b",
    # Control characters, and names that are none.
    b"X-A: b\x00c",
    b"X-A: \x01",
    b"X-A: b\x0bc",
    b"X-A: b\x0cc",
    b"X-A: b\x1b[0m",
    b"X-A: b\x7f",
    b"X-A\x00: b",
    b"X A: b",
    b"X(A): b",
    b"X-\xe9: b",
    b"\xef\xbb\xbfX-A: b",
    b": b",
    b"no colon",
    # Too long.
    b"X-A: " + b"b" * 8200,
    b"X-A: " + b"b" * 3_000_000,
    b"\r\n".join(b"X-%d: b" % number for number in range(2000)),
    b"Expect: miracles\r\nContent-Length: 2",
]

ODD_LINES = [
    b"get /livez HTTP/1.1",
    b"G\xc3\x89T /livez HTTP/1.1",
    b"GE(T /livez HTTP/1.1",
    b"GET  /livez HTTP/1.1",
    b"GET /livez  HTTP/1.1",
    b" GET /livez HTTP/1.1",
    b"GET /livez HTTP/1.1 ",
    b"GET\t/livez\tHTTP/1.1",
    b"GET /li vez HTTP/1.1",
    b"GET /livez",
    b"GET",
    b"",
    b"GET /livez http/1.1",
    b"GET /livez HTTP/1.2",
    b"GET /livez HTTP/2.0",
    b"GET /livez HTTP/1.10",
    b"GET /livez HTTP/1",
    b"GET /live\x00z HTTP/1.1",
    b"GET /live\x7fz HTTP/1.1",
    b"GET /live\xffz HTTP/1.1",
    b"GET /live\xc3\xa9z HTTP/1.1",
    b"GET livez HTTP/1.1",
    b"GET /" + b"a" * 8200 + b" HTTP/1.1",
    *(
        method_and_target + b" HTTP/1.1"
        for method_and_target in (
            # A fragment, which a client keeps to itself.
            b"GET /livez#",
            b"GET /livez#a",
            b"GET /livez?a#b",
            b"GET #",
            # Characters that no path has.
            b"GET /livez\\",
            b"GET /abc\\..\\livez",
            b'GET /livez"',
            b"GET /livez<",
            b"GET /livez|",
            b"GET /livez^",
            b"GET /livez`",
            b"GET /{livez}",
            b"GET /[livez]",
            # A target of another form than the method has.
            b"CONNECT test:443",
            b"GET test:443",
            b"GET test",
            b"GET *",
            b"POST *",
            b"OPTIONS *?a",
            b"GET ?a",
            b"GET http://test",
            b"GET http://test?a",
            b"GET http:///livez",
            b"GET http:/livez",
            b"GET http:livez",
            b"GET http://a@test/livez",
            b"GET http://test@/livez",
            b"GET http://te\\st/livez",
            b"GET http://[::1/livez",
            b"GET http://test:a/livez",
            b"GET http://test:65536/livez",
            b"GET ftp://test/livez",
            b"GET file:///livez",
        )
    ),
    b"HTTP/1.1 200 OK",
]

JUNK = [
    b"\x00\xff\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /livez HTTP/1.1\nHost: test\n\n",
    b"\n",
    b"\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n\r\n",  # no Host
    *(
        b"GET /livez HTTP/1.1\r\nHost:" + host + b"\r\n\r\n"
        for host in (b"", b" ", b" a, b", b" a b", b" a/b", b" a@b", b" a:b", b" \xc2\xa0a")
    ),
    b"POST /tenants HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]

ODD_CHUNKS = [
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"+2\r\n{}\r\n0\r\n\r\n",
    b"-2\r\n{}\r\n0\r\n\r\n",
    b" 2\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n",
    b"2_\r\n{}\r\n0\r\n\r\n",
    b"\xd9\xa2\r\n{}\r\n0\r\n\r\n",
    b"g\r\n{}\r\n0\r\n\r\n",
    b"\r\n{}\r\n0\r\n\r\n",
    b";a\r\n{}\r\n0\r\n\r\n",
    b"000000002\r\n{}\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    b"2\n{}\r\n0\r\n\r\n",
    b"2\r{}\r\n0\r\n\r\n",
    b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    b"2;a\x00b\r\n{}\r\n0\r\n\r\n",
    b"2;" + b"a" * 300 + b"\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}\n0\r\n\r\n",
    b"2\r\n{}\n\n0\r\n\r\n",
    b"2\r\n{}\r0\r\n\r\n",
    b"2\r\n{}ab0\r\n\r\n",
    b"2\r\n{} \r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\n\n",
    b"2\r\n{}\r\n0\r\n\n\n",
    b"2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
    b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
]

REFUSED = [
    *(request(POST, headers, body=b"{}") for headers in ODD_HEADERS),
    *(request(line) for line in ODD_LINES),
    *JUNK,
    *(request(POST, b"Transfer-Encoding: chunked", body=chunks) for chunks in ODD_CHUNKS),
]


def _name(case: bytes) -> str:
    return repr(case.replace(b"\r\nHost: test", b"", 1)[:70])


@pytest.mark.parametrize("case", REFUSED, ids=_name)
def test_refuses_and_closes(server: Server, case: bytes) -> None:
    """One 400 and the end, however the bytes arrive; what follows is never a second request."""
    sent = case + SECOND
    replies = [exchange(server.url, sent)]
    if len(sent) < 1000:
        replies.append(exchange(server.url, *(bytes([byte]) for byte in sent)))
    for found in replies:
        assert [reply.status for reply in found] == [400]
        assert found[0].body == b'{"error":"Bad Request"}'
        assert found[0].headers["content-type"] == "application/json"
        assert found[0].headers["connection"] == "close"
        assert re.fullmatch(r"[0-9a-f]{24}", found[0].headers["x-request-id"])


@pytest.mark.parametrize("case", [b"\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\rH", b"\x16\x03"])
def test_what_can_become_no_request_is_not_waited_for(server: Server, case: bytes) -> None:
    assert [reply.status for reply in exchange(server.url, case)] == [400]
