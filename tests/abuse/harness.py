"""A server to attack, the fifty honest users beside the attackers, and what they got."""

import asyncio
import itertools
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
import orjson

from tests.api import Api, User
from tests.bench import peers
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import body_of
from tests.processes import ROOT, Server, Valkey, eventually

USERS = 50
PAUSE_SECONDS = 0.5
"""Between two requests of an honest user, in the mean."""
MEASURED_SECONDS = 1.25
LARGE_BYTES = 2 * 1024 * 1024
RECOVERY_SECONDS = 20
HONEST = {"tokens": 10**9, "rate_limit": 10_000, "rate_limit_window": 1}
MEMORY = "256mb"


@dataclass
class Seen:
    """What the honest users got: seconds until each reply, of a stream until its first event."""

    seconds: list[float] = field(default_factory=list)
    large: list[float] = field(default_factory=list)
    """Those of requests of LARGE_BYTES."""
    statuses: Counter[int] = field(default_factory=Counter)
    large_statuses: Counter[int] = field(default_factory=Counter)
    peak_bytes: int = 0
    """Of all processes of the server together, at most."""

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


@dataclass(frozen=True)
class Place:
    """What is attacked. The honest users are a tenant of their own."""

    valkey: Valkey
    server: Server
    users: list[User]

    def observe(self, seconds: float = MEASURED_SECONDS) -> Seen:
        """Lets the honest users work for so long."""
        forget_peak(self.server)
        seen = asyncio.run(_work(self.server.url, self.users, seconds))
        seen.peak_bytes = peak_bytes(self.server)
        return seen

    def recover(self) -> None:
        """Waits until a large request is served again."""
        user = self.users[0]
        body = body_of("openai", "x" * LARGE_BYTES)

        def is_served() -> bool:
            reply = user.api.post("/v1/chat/completions", body, user.headers)
            return reply.status_code == 200

        eventually(is_served, RECOVERY_SECONDS)

    def audit(self) -> None:
        """Finds nothing."""
        command = [sys.executable, "-m", "server", "audit"]
        env = {"REDIS_URL": self.valkey.url, "REDIS_TIMEOUT": "5"}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def place(folder: Path, memory: str = MEMORY, /, **settings: str) -> Iterator[Place]:
    """Two workers, unless `settings` say otherwise; `memory` is what Valkey may take."""
    defaults = {
        "WORKERS": "2",
        "ALLOW_PRIVATE_UPSTREAMS": "1",
        "PUBLIC_URL": "https://metered.example",
    }
    with (
        Valkey(folder / "valkey", maxmemory=memory) as valkey,
        peers.upstream(folder) as provider,
        Server(
            folder / "server",
            wait=True,
            REDIS_URL=by_name(valkey.url),
            # What signs people in, and where they pay, says nothing that can be understood.
            **dict.fromkeys(("GOOGLE_URL", "APPLE_URL", "STRIPE_URL"), provider.url),
            **(defaults | settings),
        ) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        tenant = text_config({"main": endpoint(by_name(provider.url))}, anonymous=HONEST)
        api = Api.new_tenant(client, tenant)
        yield Place(valkey, server, [api.login() for _ in range(USERS)])


def by_name(url: str) -> str:
    """As is usual, so that it must be looked up."""
    return url.replace("127.0.0.1", "localhost")


def pids(server: Server) -> list[int]:
    return [server.pid, *server.worker_pids()]


def peak_bytes(server: Server) -> int:
    """The sum of what each process of the server had resident at most, as the kernel saw it: none
    of it is missed between two looks."""
    found = 0
    for pid in pids(server):
        status = Path(f"/proc/{pid}/status").read_text()
        kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert kilobytes
        found += int(kilobytes[1]) * 1024
    return found


def forget_peak(server: Server) -> None:
    for pid in pids(server):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


async def _work(url: str, users: list[User], seconds: float) -> Seen:
    seen = Seen()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(users):
            group.create_task(_human(url, user, random.Random(number), until, seen))
        group.create_task(_human_with_pictures(url, users[0], until, seen))
    return seen


async def _human(url: str, user: User, chance: random.Random, until: float, seen: Seen) -> None:
    """On a connection of its own, so that each worker has some of them."""
    hello = orjson.dumps(body_of("openai", "Hello"))
    told = orjson.dumps(body_of("openai", "Hello", stream=True))
    todo = itertools.cycle(
        [
            ("POST", "charges", b"{}"),
            ("GET", "balance", None),
            ("POST", "v1/chat/completions", hello),
            ("POST", "charges", b"{}"),
            ("POST", "v1/chat/completions", told),
        ]
    )
    for _ in range(chance.randrange(5)):
        next(todo)
    async with _session(url, user) as session:
        pause = chance.random() * PAUSE_SECONDS
        while time.monotonic() + pause < until:
            await asyncio.sleep(pause)
            method, path, body = next(todo)
            seen.seconds.append(await _request(session, method, path, body, seen.statuses))
            pause = chance.uniform(0.5, 1.5) * PAUSE_SECONDS


async def _human_with_pictures(url: str, user: User, until: float, seen: Seen) -> None:
    body = orjson.dumps(body_of("openai", "x" * LARGE_BYTES))
    async with _session(url, user) as session:
        while time.monotonic() + PAUSE_SECONDS < until:
            took = await _request(session, "POST", "v1/chat/completions", body, seen.large_statuses)
            seen.large.append(took)
            await asyncio.sleep(PAUSE_SECONDS)


def _session(url: str, user: User) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=30)
    base = f"{url}/{user.api.tenant_id}/"
    return aiohttp.ClientSession(base, headers=user.headers, timeout=timeout)


async def _request(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    body: bytes | None,
    statuses: Counter[int],
) -> float:
    sent = time.monotonic()
    try:
        async with session.request(method, path, data=body) as reply:
            await reply.content.readany()
            took = time.monotonic() - sent
            await reply.read()
            statuses[reply.status] += 1
    except (aiohttp.ClientError, TimeoutError):
        took = time.monotonic() - sent
        statuses[0] += 1
    return took
