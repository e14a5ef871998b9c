"""The client for providers against a real server: where it connects to, what it sends and takes."""

import asyncio
import contextlib
import gc
import gzip
import os
import socket
import ssl
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.timeouts import Timeouts
from server.upstream.addresses import fault_of_host
from server.upstream.client import Upstream
from server.upstream.errors import Failed, TimedOut, Unreachable, UpstreamError
from server.upstream.names import Names
from server.upstream.protocol import PART_BYTES
from server.upstream.response import Response
from tests.certificate import OPENSSL, self_signed
from tests.processes import until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """A server whose one handler a test sets; `requests` are those that it received, and `peers`
    the clients' ends of the connections that they came on."""

    def __init__(self) -> None:
        self.handler: Handler = self.ok
        self.requests: list[web.Request] = []
        self.peers: set[object] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def ok(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.requests.append(request)
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        return await self.handler(request)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.port = runner.addresses[0][1]
    yield provider
    await runner.cleanup()


@asynccontextmanager
async def started(allow_private: bool = True, **timeouts: float) -> AsyncIterator[Upstream]:
    client = Upstream(Names(), allow_private, Timeouts(**timeouts))
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def client() -> AsyncIterator[Upstream]:
    async with started() as client:
        yield client


@pytest.fixture
async def strict() -> AsyncIterator[Upstream]:
    async with started(allow_private=False) as client:
        yield client


class Clock:
    """The loop's, which a test can move on, instead of waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop, self._ahead = asyncio.get_running_loop(), 0.0
        time = loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + self._ahead)

    async def advance(self, seconds: float) -> None:
        """When what can run now has run, it is so much later; then what is due has happened."""
        await asyncio.sleep(0)
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A TCP server that does `raw` with each connection after the head of its request."""

    def __init__(self, raw: Raw, tls: ssl.SSLContext | None = None) -> None:
        self._raw = raw
        self._tls = tls
        self.accepted = 0

    async def __aenter__(self) -> "Listener":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1?key=sk-secret"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await self._raw(reader, writer)
        finally:
            writer.close()


def answer(*pieces: bytes, then: float = 0) -> Raw:
    async def raw(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await asyncio.sleep(then)

    return raw


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def closed_by_peer(response: Response) -> None:
    lost = response._protocol.closed
    if lost is not None:
        await asyncio.wait([lost], timeout=10)
        assert lost.done()


async def collect(response: Response) -> tuple[bytes, UpstreamError | None]:
    """All that came, and the failure after it."""
    found = b""
    try:
        while part := await response.part():
            found += part
    except UpstreamError as error:
        return found, error
    return found, None


async def test_what_is_sent_is_what_was_given_and_little_else(
    client: Upstream, provider: Provider
) -> None:
    headers = {"authorization": "Bearer sk-1", "content-type": "application/json"}
    response = await client.post(provider.url, headers, b'{"a": 1}')
    assert await response.read(100) == b'{"ok": true}'
    (request,) = provider.requests
    assert (request.method, request.path, await request.read()) == ("POST", "/v1", b'{"a": 1}')
    assert {name.lower(): value for name, value in request.headers.items()} == {
        **headers,
        "host": f"127.0.0.1:{provider.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "vibe-server",
        "content-length": "8",
    }


async def test_a_get_differs_from_a_post_in_its_method_alone(
    client: Upstream, provider: Provider
) -> None:
    for send in (client.get(provider.url, {}, 5), client.post(provider.url, {}, b"", seconds=5)):
        assert await (await send).read(1000) == b'{"ok": true}'
    asked, posted = provider.requests
    assert (asked.method, posted.method) == ("GET", "POST")
    assert asked.raw_headers == posted.raw_headers
    assert len(provider.peers) == 1


async def test_connections_are_used_again_also_after_a_stream(
    client: Upstream, provider: Provider
) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"data: x\n\n")
        return response

    for handler in (provider.ok, stream) * 3:
        provider.handler = handler
        response = await client.post(provider.url, {}, b"{}")
        await collect(response)
        response.close()
    assert len(provider.peers) == 1


@pytest.mark.parametrize("end", ["comes", "does not come", "is malformed", "was lost"])
async def test_a_connection_that_was_left_is_used_again_once_its_body_ends(end: str) -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await go_on.wait()
        if end == "was lost":
            return
        writer.write({"comes": b"0\r\n\r\n", "is malformed": b"x"}.get(end, b""))
        if end == "comes":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        assert await reader.read() == b""
        ended.set()

    leave = 60 if end == "comes" else 0
    async with started(leave=leave) as client, Listener(stream) as listener:
        response = await client.post(listener.url, {}, b"")
        assert await response.part() == b"hello"
        response.leave()
        go_on.set()
        if end == "comes":
            await collect(response)
            assert (await client.post(listener.url, {}, b"")).status == 204
            assert listener.accepted == 1
        elif end != "was lost":
            async with asyncio.timeout(10):
                await ended.wait()
        await until(lambda: not client._responses, 10)


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_comes_unasked_is_no_reply(client: Upstream, at_once: bool) -> None:
    unasked = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    begun, sent = asyncio.Event(), asyncio.Event()

    async def talkative(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + unasked * at_once)
        await begun.wait()
        writer.write(unasked * (not at_once))
        sent.set()
        await asyncio.sleep(60)

    async with Listener(talkative) as listener:
        response = await client.post(listener.url, {}, b"")
        assert (response.status, await response.read(100)) == (200, b"ok")
        begun.set()
        await sent.wait()
        await until(lambda: at_once or response._protocol.should_close, 10)
        assert (await client.post(listener.url, {}, b"")).status == 200
        assert listener.accepted == 2


async def test_who_speaks_on_unasked_is_not_listened_to(client: Upstream) -> None:
    """Not even for as long as the pool keeps the connection."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await begun.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1_000)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1_000):
                pass
        ended.set()

    async with Listener(talkative) as listener:
        response = await client.post(listener.url, {}, b"")
        assert (response.status, await response.read(100)) == (200, b"ok")
        begun.set()
        async with asyncio.timeout(10):
            await ended.wait()
        assert not response._protocol._buffer


async def test_others_have_their_turn_while_much_comes(client: Upstream) -> None:
    size = 100 * PART_BYTES

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await writer.drain()

    steps: list[int] = []

    async def look(response: Response) -> None:
        while True:
            steps.append(response._content.total_bytes)
            await asyncio.sleep(0)

    async with Listener(send) as listener:
        response = await client.post(listener.url, {}, b"")
        looking = asyncio.create_task(look(response))
        assert await response.read(size) == bytes(size)
        looking.cancel()
    assert max(after - before for before, after in pairwise(steps)) <= PART_BYTES


async def test_no_more_comes_while_a_response_is_held(client: Upstream) -> None:
    more = asyncio.Event()

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\na")
        await more.wait()
        writer.write(bytes(1000))

    async with Listener(send) as listener:
        held = await client.post(listener.url, {}, b"")
        await until(lambda: held.unread_bytes == 1)
        with held.held():
            more.set()
            other = await client.post(listener.url, {}, b"")
            assert len(await other.read(10**6)) == 1001
            assert held.unread_bytes == 1
        assert len(await held.read(10**6)) == 1001


async def test_what_has_been_read_of_a_body_is_not_kept(client: Upstream) -> None:
    size, count = 200_000, 20

    async def pause(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + bytes(size))
        await asyncio.sleep(60)

    async def read() -> Response:
        response = await client.post(listener.url, {}, b"")
        left = size
        while left:
            left -= len(await response.part())
        return response

    async with Listener(pause) as listener:
        (await read()).close()
        gc.collect()
        tracemalloc.start()
        try:
            responses = [await read() for _ in range(count)]
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for response in responses:
            response.close()
    assert kept < count * 50_000


async def test_a_connection_is_not_used_again_that_answered_before_it_had_the_request(
    client: Upstream,
) -> None:
    async def hasty(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(60)

    async with Listener(hasty) as listener:
        for accepted in (1, 2):
            response = await client.post(listener.url, {}, bytes(50_000_000))
            assert (response.status, await response.read(100)) == (413, b"no")
            assert listener.accepted == accepted


async def test_no_proxy_of_the_environment_is_used(
    client: Upstream, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    assert (await client.post(provider.url, {}, b"")).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    client: Upstream, provider: Provider, status: int
) -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"location": provider.url})

    provider.handler = redirect
    response = await client.post(provider.url, {}, b"{}")
    assert response.status == status
    assert len(provider.requests) == 1


async def test_cookies_are_not_kept(client: Upstream, provider: Provider) -> None:
    async def set_cookie(_: web.Request) -> web.StreamResponse:
        response = web.Response()
        response.set_cookie("session", "of another tenant")
        return response

    provider.handler = set_cookie
    for _ in range(2):
        response = await client.post(provider.url.replace("127.0.0.1", "localhost"), {}, b"{}")
        await response.read(100)
        assert "cookie" not in provider.requests[-1].headers


PRIVATE_HOSTS = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", [*PRIVATE_HOSTS, "0x7f.1", "2130706433", "127.1", "127.0.0.1."])
async def test_no_connection_is_made_to_a_private_address(strict: Upstream, host: str) -> None:
    async with Listener(answer(CHUNKED)) as listener:
        with pytest.raises(Unreachable):
            await strict.post(f"http://{host}:{listener.port}/", {}, b"{}")
        assert listener.accepted == 0


async def test_a_name_whose_address_changes_after_the_check(
    strict: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1", "::1"], ["::ffff:127.0.0.1", "127.0.0.1"]]

    def getaddrinfo(host: str, port: None, **_: Any) -> list[Any]:
        addresses = answers.pop(0)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, 0, 0, 0) if ":" in address else (address, 0),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with Listener(answer(CHUNKED)) as listener:
        url = f"https://rebinding.example:{listener.port}/v1"
        assert await fault_of_host(url, "abc", Names()) is None
        while answers:
            with pytest.raises(Unreachable, match=r"^address is not public$"):
                await strict.post(url, {}, b"{}")
            await strict.close()  # and with it what it remembers of the name
            await strict.start()
        assert listener.accepted == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "http://nowhere.invalid/v1",
        "http:///v1",
        "ftp://127.0.0.1/",
        "http://[::1",
        "/v1",
    ],
)
async def test_unreachable(client: Upstream, url: str) -> None:
    with pytest.raises(Unreachable):
        await client.post(url + "?key=sk-secret", {}, b"{}")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://localhost:1/", "ftp://a/"])
async def test_a_request_that_could_not_be_sent_is_not_kept(client: Upstream, url: str) -> None:
    """Python looks for circles seldom, and it can have 10 MiB."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with pytest.raises(Unreachable):
            await client.post(url, {}, bytes(10**6))
        assert tracemalloc.get_traced_memory()[0] < 10**6
    finally:
        tracemalloc.stop()
        gc.enable()


async def test_calls_that_wait_for_a_connection_hold_up_no_others(
    client: Upstream, provider: Provider
) -> None:
    """However many they are: no number of connections is shared."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        waiting = [asyncio.create_task(client.post(url, {}, b"")) for _ in range(300)]
        await asyncio.sleep(0)
        assert (await client.post(provider.url, {}, b"")).status == 200
        assert not any(call.done() for call in waiting)
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)


async def test_a_server_without_tls_is_unreachable(client: Upstream, provider: Provider) -> None:
    with pytest.raises(Unreachable):
        await client.post(provider.url.replace("http:", "https:"), {}, b"{}")
    assert provider.requests == []


@pytest.fixture
def certificate_of_localhost(tmp_path: Path) -> tuple[Path, Path]:
    if not OPENSSL:
        pytest.skip("openssl is missing (Debian: apt-get install openssl)")
    return self_signed(tmp_path, "DNS:localhost")


async def test_a_certificate_must_be_trusted(
    client: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    certificate_of_localhost: tuple[Path, Path],
) -> None:
    certificate, key = certificate_of_localhost
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    answers = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", then=60)
    async with Listener(answers, context) as listener:
        url = listener.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(Unreachable, match=r"^ClientConnectorCertificateError$"):
            await client.post(url, {}, b"{}")
        assert listener.accepted == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with started() as trusting:
            assert await (await trusting.post(url, {}, b"{}")).read(100) == b"ok"
            with pytest.raises(Unreachable, match=r"^ClientConnectorCertificateError$"):
                await trusting.post(url.replace("localhost", "127.0.0.1"), {}, b"{}")
        assert listener.accepted == 1


async def test_a_reply_that_comes_byte_by_byte_has_an_end() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

    async with started(whole=0.1) as client, Listener(drip) as listener:
        response = await client.post(listener.url, {}, b"")
        with pytest.raises(TimedOut) as failure:
            await asyncio.wait_for(response.read(10**6), 10)
        assert failure.value.body.startswith(b"x")
        assert client._responses == set()


async def test_a_connection_that_is_not_made_in_time() -> None:
    # It accepts the connection and never answers the TLS greeting.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        async with started(connect=0.05) as client:
            with pytest.raises(Unreachable):
                await client.post(url, {}, b"{}")


@pytest.mark.parametrize("value", ["sk-1\r\nX-Other: 1", "sk-1\n", "sk-\x00"])
async def test_a_header_that_cannot_be_sent(
    client: Upstream, provider: Provider, value: str
) -> None:
    with pytest.raises(Unreachable):
        await client.post(provider.url, {"x-api-key": value}, b"{}")
    assert provider.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half a head", "no HTTP", "a giant head"],
)
async def test_no_reply_after_the_request_was_sent(client: Upstream, reply: bytes) -> None:
    async with Listener(answer(reply)) as listener:
        with pytest.raises(Failed):
            await client.post(listener.url, {}, b"{}")
        assert listener.accepted == 1, "sent once and not again"


async def test_a_connection_that_the_upstream_closed_is_not_retried(client: Upstream) -> None:
    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        # The next request comes while the connection is still open, and is not answered.
        await _.readuntil(b"\r\n\r\n")
        await _.readuntil(b"\r\n\r\n")

    async with Listener(once) as listener:
        assert await (await client.post(listener.url, {}, b"")).read(100) == b"ok"
        with pytest.raises(Failed, match=r"^ServerDisconnectedError$"):
            await client.post(listener.url, {}, b"\r\n\r\n\r\n\r\n")
        assert listener.accepted == 1


async def test_a_head_that_does_not_come_in_time(client: Upstream) -> None:
    for begin in (b"", b"HTTP/1.1 200 OK\r\nX-A: b"):
        async with Listener(answer(begin, then=60)) as listener:
            with pytest.raises(TimedOut):
                await client.post(listener.url, {}, b"{}", seconds=0.1)


async def test_an_upstream_that_does_not_read_the_request(client: Upstream) -> None:
    """What it has not taken by then is not kept for it."""
    given_up, gone, size = asyncio.Event(), asyncio.Event(), 0

    async def stalled(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal size
        await given_up.wait()
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                size += len(part)
        gone.set()

    async with Listener(stalled) as listener:
        with pytest.raises(TimedOut):
            await client.post(listener.url, {}, bytes(50_000_000), seconds=0.2)
        given_up.set()
        async with asyncio.timeout(10):
            await gone.wait()
        assert size < 40_000_000


@pytest.mark.parametrize("begin", [CHUNKED, CHUNKED + b"5\r\nhello\r\n"])
async def test_a_body_that_pauses_for_too_long(begin: bytes) -> None:
    async with started(idle=0.1) as client, Listener(answer(begin, then=60)) as listener:
        found, error = await collect(await client.post(listener.url, {}, b"{}"))
        assert isinstance(error, TimedOut)
        assert found == (b"hello" if b"hello" in begin else b"")
        with pytest.raises(TimedOut):
            await (await client.post(listener.url, {}, b"{}")).read(100)


async def test_the_pause_counts_anew_with_each_part_and_not_while_the_reader_is_slow(
    clock: Clock,
) -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            piece = await pieces.get()
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()

    idle = 1_000
    async with started(idle=idle) as client, Listener(stream) as listener:
        response = await client.post(listener.url, {}, b"{}")
        for _ in range(3):
            reading = asyncio.create_task(response.part())
            await clock.advance(0.9 * idle)
            pieces.put_nowait(b"x")
            assert await reading == b"x"
        pieces.put_nowait(bytes(4_000_000))
        size = len(await response.part())
        await clock.advance(2 * idle)  # nobody reads
        while size < 4_000_000:
            size += len(await response.part())
        reading = asyncio.create_task(response.part())
        await clock.advance(1.1 * idle)
        with pytest.raises(TimedOut):
            await asyncio.wait_for(reading, 10)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "begin", [CHUNKED + b"5\r\nhello\r\n", HEAD + b"Content-Length: 9\r\n\r\nhello"]
)
async def test_a_body_that_is_cut(client: Upstream, begin: bytes, reset: bool) -> None:
    read = asyncio.Event()

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await read.wait()
        if reset:
            writer.transport.abort()

    async with Listener(cut) as listener:
        response = await client.post(listener.url, {}, b"{}")
        found = b""
        while len(found) < 5:
            found += await response.part()
        read.set()
        with pytest.raises(Failed):
            await response.part()
        assert found == b"hello"
        with pytest.raises(Failed):
            await (await client.post(listener.url, {}, b"{}")).read(100)


@pytest.mark.parametrize("end", [b"", b"no chunk\r\n"])
async def test_what_came_before_the_cut_is_not_lost_on_a_slow_reader(
    client: Upstream, end: bytes
) -> None:
    begun = asyncio.Event()

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await begun.wait()
        writer.write(b"5\r\nhello\r\n5\r\nworld\r\n" + end)

    async with Listener(cut) as listener:
        response = await client.post(listener.url, {}, b"{}")
        begun.set()
        await closed_by_peer(response)
        found, error = await collect(response)
        assert found == b"helloworld"
        assert isinstance(error, Failed)
        found, error = await collect(response)
        assert found == b""
        assert isinstance(error, Failed)


@pytest.mark.parametrize("junk", [b"no chunk\r\n", b"2\r\nabcde\r\n"])
async def test_a_malformed_chunk_ends_the_body(client: Upstream, junk: bytes) -> None:
    begun = asyncio.Event()

    async def malformed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await begun.wait()
        writer.write(junk)
        await _.read()

    async with Listener(malformed) as listener:
        response = await client.post(listener.url, {}, b"{}")
        assert await response.part() == b"hello"
        begun.set()
        async with asyncio.timeout(10):
            found, error = await collect(response)
        assert found in (b"", b"ab")
        assert isinstance(error, Failed)


async def test_a_body_that_ends_with_its_connection(client: Upstream) -> None:
    async with Listener(answer(HEAD + b"\r\n", b"hello")) as listener:
        response = await client.post(listener.url, {}, b"{}")
        assert await collect(response) == (b"hello", None)


async def test_an_idle_connection_that_is_reset_is_not_worth_a_word(
    client: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    reset = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await reset.wait()
        reset.clear()
        writer.write(b"0\r\n\r\n")
        await reset.wait()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with Listener(stream) as listener:
        response = await client.post(listener.url, {}, b"")
        reset.set()
        assert await collect(response) == (b"", None)
        lost = response._protocol.closed
        assert lost is not None
        reset.set()
        await asyncio.wait([lost], timeout=10)
        assert lost.done()
    del lost, response
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_the_rest_can_be_read_after_the_first_reader_was_cancelled(
    client: Upstream, provider: Provider
) -> None:
    go_on = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await go_on.wait()
        await response.write(b"two")
        return response

    provider.handler = stream
    response = await client.post(provider.url, {}, b"{}")
    assert await response.part() == b"one"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await response.part()
    go_on.set()
    assert await collect(response) == (b"two", None)


async def test_a_body_is_read_up_to_its_bound(client: Upstream, provider: Provider) -> None:
    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(1_000_000))

    provider.handler = large
    response = await client.post(provider.url, {}, b"{}")
    assert len(await response.read(1_000_000)) == 1_000_000
    assert len(provider.peers) == 1
    response = await client.post(provider.url, {}, b"{}")
    with pytest.raises(Failed, match=r"^too large$"):
        await response.read(1_000)
    await client.post(provider.url, {}, b"{}")
    assert len(provider.peers) == 2, "nobody reads the rest"


async def test_a_compressed_body_is_decompressed_within_the_bound(
    client: Upstream, provider: Provider
) -> None:
    plain, bomb = gzip.compress(b"hello"), gzip.compress(bytes(200_000_000))

    def compressed(body: bytes) -> Handler:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, headers={"content-encoding": "gzip"})

        return handler

    provider.handler = compressed(plain)
    assert await (await client.post(provider.url, {}, b"{}")).read(5) == b"hello"
    provider.handler = compressed(bomb)
    tracemalloc.start()
    try:
        response = await client.post(provider.url, {}, b"{}")
        with pytest.raises(Failed, match=r"^too large$"):
            await response.read(1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
