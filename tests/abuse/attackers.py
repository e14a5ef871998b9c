"""Attackers: what a stranger does, again and again, in a process of its own until it is ended.

They are nicer than all others, and few: it is the server that must be slowed down for an attack to
succeed, and not the machine that runs them both.
"""

import http.client
import multiprocessing
import os
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import uuid4

import httpx

from tests.api import ADMIN, config
from tests.processes import eventually
from tests.raw import connect

MEBIBYTE = 1024 * 1024
RICH = {"tokens": 10**12, "rate_limit": 60, "rate_limit_window": 60}
POOR = {"tokens": 0, "rate_limit": 60, "rate_limit_window": 60}
NOTHING = 0
"""Counted as a status: no reply came."""
UNDER_WAY = 100
"""Likewise: it is sent, and its reply is not waited for."""
BEGIN_SECONDS = 30
REPLY_SECONDS = 60
BETWEEN_SECONDS = 0.003
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.abuse.test_abuse"])


@dataclass(frozen=True)
class Victim:
    """The server from an attacker's side, and what it has answered so far, by status."""

    url: str
    redis_url: str
    _statuses: Any = field(default_factory=lambda: _CONTEXT.Array("i", 600))

    def saw(self, status: int) -> None:
        """The attack is under way; `status` was the answer."""
        with self._statuses.get_lock():
            self._statuses[status] += 1

    def statuses(self) -> Counter[int]:
        # Without the lock, which an attacker that was killed may hold for ever.
        counts = self._statuses.get_obj()
        return Counter({status: count for status, count in enumerate(counts) if count})

    def put_tenant(self, value: dict[str, Any] | None = None) -> str:
        """A new tenant with that config, by default one whose users have plenty of tokens."""
        tenant_id = f"x-{uuid4().hex[:12]}"
        body = {"tenantId": tenant_id, "config": value or config(anonymous=RICH)}
        reply = httpx.post(f"{self.url}/tenants", json=body, headers=ADMIN, timeout=30)
        assert reply.status_code == 201, reply.text
        return tenant_id

    def log_in(self, tenant_id: str) -> str:
        """The API key of a new user."""
        reply = httpx.post(f"{self.url}/{tenant_id}/auth/anonymous", timeout=30)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["apiKey"])

    def head(self, path: str, api_key: str, *lines: str, length: int | None = None) -> bytes:
        """Of a POST; without a length it must be in chunks."""
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        all_lines = [f"POST {path} HTTP/1.1", "Host: x", f"X-API-Key: {api_key}", size, *lines]
        return "\r\n".join([*all_lines, "", ""]).encode()

    def post(self, path: str, api_key: str, body: bytes) -> int:
        """The status of a request on a connection of its own, which sends as fast as it goes."""
        return self.send(self.head(path, api_key, length=len(body)) + body)

    def send(self, *pieces: bytes) -> int:
        """The status of what is sent so."""
        with connect(self.url) as connection:
            connection.settimeout(REPLY_SECONDS)
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except OSError:
                pass  # it was answered before all of it had come
            status = status_of(connection)
        self.saw(status)
        return status

    def send_in_a_row(self, make: Callable[[], bytes]) -> None:
        """Requests on one connection, each after the reply to the one before, until that ends."""
        with connect(self.url) as connection:
            while True:
                connection.sendall(make())
                status = status_of(connection)
                self.saw(status)
                if not status:
                    return


def status_of(connection: socket.socket) -> int:
    """Of a reply, which is read to its end."""
    reply = http.client.HTTPResponse(connection)
    try:
        reply.begin()
        while reply.read(MEBIBYTE):
            pass
    except (OSError, http.client.HTTPException):
        return reply.status if isinstance(reply.status, int) else NOTHING
    return reply.status


def at_once(count: int, work: Callable[[], object]) -> None:
    """`count` threads do it for ever. They do not begin in one moment: any server is late for
    hundreds of requests that do."""

    def repeat() -> None:
        while True:
            work()

    threads = [threading.Thread(target=repeat) for _ in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(BETWEEN_SECONDS)
    for thread in threads:
        thread.join()


@dataclass(frozen=True)
class Attack:
    """`run` does not end; it fails when it cannot be begun."""

    name: str
    run: Callable[[Victim], None]
    fills_memory: bool = False
    fills_room: bool = False
    """It comes with so many tenants' keys that their shares are all of the room for bodies."""


def _run(attack: Attack, victim: Victim) -> None:
    os.nice(10)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack.run(victim)


@contextmanager
def attacking(attack: Attack, victim: Victim) -> Iterator[None]:
    """While the body of `with` runs, from the first blow on."""
    process: BaseProcess = _CONTEXT.Process(target=_run, args=(attack, victim), daemon=True)
    process.start()
    try:
        eventually(lambda: victim.statuses() or not process.is_alive(), BEGIN_SECONDS)
        yield
        assert process.is_alive(), f"{attack.name} failed itself"
    finally:
        process.kill()
        process.join()
