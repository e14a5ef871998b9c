"""SIGTERM while clients are busy: what runs finishes, nothing hangs, no charge without a reply."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest

from tests.api import ADMIN, Api, User, config
from tests.callers import Load
from tests.processes import Server, Valkey, eventually
from tests.raw import connect, parse

CLIENTS = 32
SLACK = 3
"""What a noisy machine may add to a time limit, s."""
LINE = "[INFO] Server shutting down\n"


@contextmanager
def serving(valkey: Valkey, folder: Path, **settings: str) -> Iterator[tuple[Server, Api]]:
    """A server of the test's own, and a tenant on it."""
    with (
        Server(folder / "out", wait=True, REDIS_URL=valkey.url, **settings) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield server, Api.new_tenant(client)


def refuses(server: Server) -> bool:
    """Nothing listens any more."""
    parts = urlsplit(server.url)
    try:
        socket.create_connection((str(parts.hostname), parts.port or 80), 1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def head(user: User, length: int) -> bytes:
    """The head of a charge whose body is `length` bytes."""
    return (
        f"POST /{user.api.tenant_id}/charges HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: Bearer {user.api_key}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while portion := connection.recv(65536):
        received += portion
    return received


def ended_well(server: Server) -> None:
    """Exit status 0, one line about it, and no trouble."""
    assert server.wait() == 0
    text = server.text()
    assert text.count(LINE) == 1, text
    assert "[ERROR]" not in text
    assert "Traceback" not in text
    assert "Worker" not in text


def test_a_request_whose_body_is_still_coming_is_served(valkey: Valkey, tmp_path: Path) -> None:
    with serving(valkey, tmp_path, WORKERS="2") as (server, api):
        user, body = api.login(), b'{"tokens": 7}'
        with connect(server.url) as connection:
            connection.sendall(head(user, len(body)) + body[:5])
            # Another request on another connection: by its reply, the half one has been read.
            assert user.charge(1).status_code == 200
            server.signal_group(signal.SIGTERM)
            eventually(lambda: refuses(server))
            server.signal_group(signal.SIGTERM)
            connection.sendall(body[5:])
            (reply,) = parse(read_all(connection))
        assert (reply.status, reply.body) == (200, b'{"tokensLeft":92}')
        assert reply.headers["connection"] == "close"
        ended_well(server)


def test_a_charge_that_waits_for_redis_is_answered(tmp_path: Path) -> None:
    with (
        Valkey(tmp_path / "valkey") as valkey,
        serving(valkey, tmp_path, REDIS_TIMEOUT="20") as (server, api),
        ThreadPoolExecutor() as threads,
    ):
        users = [api.login() for _ in range(3)]
        valkey.send_signal(signal.SIGSTOP)
        try:
            replies = [threads.submit(user.charge, 30) for user in users]
            # All three have been read.
            eventually(lambda: [c.unread for c in connections_of(server)] == [0] * 3)
            server.send_signal(signal.SIGTERM)
            eventually(lambda: refuses(server))
        finally:
            valkey.send_signal(signal.SIGCONT)
        assert [reply.result().json() for reply in replies] == [{"tokensLeft": 70}] * 3
        ended_well(server)


@dataclass(frozen=True)
class Connection:
    """A connection of the server's as the kernel has it: bytes that wait to be sent or read."""

    unsent: int
    unread: int


def connections_of(server: Server) -> list[Connection]:
    port = f":{urlsplit(server.url).port:04X}"
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if local.endswith(port) and state == "01":
            unsent, _, unread = queues.partition(":")
            found.append(Connection(int(unsent, 16), int(unread, 16)))
    return found


def test_drain_seconds_serve_on_while_not_ready(valkey: Valkey, tmp_path: Path) -> None:
    drain = 2.0
    with serving(valkey, tmp_path, WORKERS="2", DRAIN_SECONDS=str(drain)) as (server, api):
        user = api.login()
        # Each request has a connection of its own: any worker may get it.
        with httpx.Client(base_url=server.url, headers={"Connection": "close"}) as client:
            server.send_signal(signal.SIGTERM)
            eventually(lambda: LINE in server.text())
            began = time.monotonic()
            eventually(lambda: all(client.get("/readyz").status_code == 503 for _ in range(10)))
            assert client.get("/readyz").json() == {"status": "unavailable"}
            assert client.get("/livez").status_code == 200
            assert client.post(f"/{api.tenant_id}/auth/anonymous").status_code == 200
            assert user.charge(1).status_code == 200
        eventually(lambda: refuses(server))
        assert time.monotonic() - began > drain - 0.5
        ended_well(server)


def test_a_connection_ends_with_its_reply_while_the_server_drains(
    valkey: Valkey, tmp_path: Path
) -> None:
    """So that none is in use when it closes: a request that is on its way then is lost."""
    with serving(valkey, tmp_path, DRAIN_SECONDS="5") as (server, api):
        users = [api.login() for _ in range(3)]
        with httpx.Client(base_url=server.url) as client:
            path, headers = f"/{api.tenant_id}/charges", users[0].headers
            assert client.post(path, headers=headers).headers["connection"] == "keep-alive"
            server.send_signal(signal.SIGTERM)
            eventually(lambda: LINE in server.text())
            eventually(lambda: client.get("/readyz").status_code == 503)
            for user in users:
                reply = client.post(path, headers=user.headers)
                assert (reply.status_code, reply.headers["connection"]) == (200, "close")
        ended_well(server)


def test_idle_connections_are_closed(valkey: Valkey, tmp_path: Path) -> None:
    with serving(valkey, tmp_path, WORKERS="2") as (server, _):
        used = [connect(server.url) for _ in range(20)]
        for connection in used:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        unused = [connect(server.url) for _ in range(20)]
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        ended_well(server)
        assert time.monotonic() - began < SLACK
        for connection in used:
            # An end, not a reset, which would take the reply from those who had not read it.
            (reply,) = parse(b"HTTP/1.1 200" + read_all(connection))
            assert reply.body == b'{"status":"ok"}'
        for connection in used + unused:
            connection.close()


@pytest.mark.parametrize("grace", ["0", "1"])
def test_grace_seconds_bound_what_never_finishes(
    valkey: Valkey, tmp_path: Path, grace: str
) -> None:
    with serving(valkey, tmp_path, WORKERS="2", GRACE_SECONDS=grace) as (server, api):
        with connect(server.url) as connection, connect(server.url) as idle:
            connection.sendall(head(api.login(), 100) + b"{")
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            ended_well(server)
            seconds = time.monotonic() - began
        assert float(grace) <= seconds < float(grace) + SLACK
        assert server.text().count("[WARN] 1 requests did not finish in time\n") == 1


def test_replies_that_began_are_sent_whole(valkey: Valkey, tmp_path: Path) -> None:
    """To a client that reads slowly: they wait in the server's memory when SIGTERM comes."""
    with serving(valkey, tmp_path) as (server, api):
        padding = {"padding": "x" * 60_000}
        assert api.put_config({**config(), **padding}).status_code == 200
        request = (
            f"GET /{api.tenant_id}/admin/config HTTP/1.1\r\nHost: test\r\n"
            f"Authorization: {ADMIN['Authorization']}\r\n\r\n"
        ).encode()
        with connect(server.url) as connection:
            connection.sendall(request * 300)
            # Until the kernel takes no more: the server is writing.
            eventually(lambda: any(c.unsent for c in connections_of(server)))
            server.send_signal(signal.SIGTERM)
            eventually(lambda: refuses(server))
            replies = parse(read_all(connection))
        assert 1 < len(replies) < 300
        assert {(reply.status, len(reply.body) > 60_000) for reply in replies} == {(200, True)}
        assert [reply.headers["connection"] for reply in replies[-2:]] == ["keep-alive", "close"]
        ended_well(server)


async def test_no_charge_without_a_reply_under_load(valkey: Valkey, tmp_path: Path) -> None:
    with serving(valkey, tmp_path, WORKERS="2") as (server, api):
        clients = [Client(api.login()) for _ in range(CLIENTS)]
        for client in clients:
            client.user.grant({"tokens": 1_000_000})
        runs = [asyncio.create_task(client.run(server.url)) for client in clients]
        await asyncio.gather(*(client.is_busy.wait() for client in clients))
        server.signal_group(signal.SIGTERM)
        await asyncio.gather(*runs)
    ended_well(server)
    for client in clients:
        stored = json.loads(str(valkey.client.get(f"user:{client.user.user_id}")))
        assert client.answered <= stored["tokensUsed"] <= client.answered + client.lost
    # A busy client's next request is served, with `Connection: close`. What it then sends on a new
    # connection is lost when nobody accepts that any more.
    assert sum(client.lost for client in clients if client.was_kept) <= CLIENTS // 4


class Client:
    """Charges again and again, until nothing listens any more or a connection breaks."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.is_busy = asyncio.Event()
        self.answered = 0
        self.lost = 0
        """Sent, and no reply."""
        self.was_kept = False
        """The last reply left its connection open."""

    async def run(self, url: str) -> None:
        async with Load(url, 1) as load:
            while True:
                try:
                    answer = await load.charge(self.user)
                except aiohttp.ClientConnectorError:
                    return
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    self.lost += 1
                    return
                assert answer.status == 200
                self.was_kept = answer.headers["connection"] == "keep-alive"
                self.answered += 1
                if self.answered == 5:
                    self.is_busy.set()
