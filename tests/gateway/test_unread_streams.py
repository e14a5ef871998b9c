"""Streams that nobody reads: what waits of them is counted until it is read, whatever it is."""

import socket
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from tests.gateway.asking import raw, user_at
from tests.gateway.raw_provider import HEAD, RawProvider
from tests.processes import Server, eventually
from tests.raw import connect

STREAMS = 40
MEBIBYTE = 1024 * 1024
SHARE = 48 * MEBIBYTE
"""Of a tenant, of the room for replies."""
SOME = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
LARGE = b'"%b"' % (b"x" * 4_000_000)
ANSWERS = {
    "a large end": (
        SOME,
        FINISH + b'data: {"choices":[],"usage":{"total_tokens":9},"x":%b}\n\n' % LARGE,
        b"data: [DONE]\n\n",
    ),
    "a large event, then small ones": (
        SOME + b'data: {"choices":[{"index":0,"delta":{}}],"x":%b}\n\n' % LARGE,
        SOME,
        SOME,
    ),
}


@pytest.fixture(scope="module")
def before(gateway: Server) -> int:
    """Bytes of memory of the worker before any of these."""
    return gateway.resident()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_not_read_takes_no_more_than_its_room(
    client: httpx.Client, gateway: Server, before: int, name: str, version: str
) -> None:
    sent: list[Callable[[], None]] = []

    def answer(connection: socket.socket) -> None:
        try:
            for piece in (HEAD, *ANSWERS[name]):
                connection.sendall(piece)
            sent.append(connection.close)
            connection.recv(1)  # until the other side ends it
        except OSError:
            sent.append(connection.close)

    with RawProvider(answer) as provider, ExitStack() as open_ones:
        user = user_at(client, provider.url, tokens=10**9)
        options = {"include_usage": True}
        request = raw(user, "Hi", stream=True, stream_options=options, max_tokens=10**6)
        request = request.replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1)
        for number in range(STREAMS):
            connection = open_ones.enter_context(connect(gateway.url))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request)
            eventually(lambda: len(sent) > number)  # noqa: B023
        assert client.get("/livez").status_code == 200
        assert gateway.resident() - before < 2 * SHARE
