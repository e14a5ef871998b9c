"""Site: a server of two workers on some arrangement of Redis; its users sign in at the double."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.callers import Load
from tests.doubles.sign_in import SignInDouble
from tests.faults.topologies import Redis
from tests.login_providers.signing import App
from tests.processes import ROOT, Server

WORKERS = 2
# A supervisor replaces more slowly who dies within 5 s, and the oldest is killed.
KILL_SECONDS = 2.6


class Killed:
    """How many workers have been."""

    def __init__(self) -> None:
        self.times = 0


@dataclass
class Site:
    redis: Redis
    server: Server
    double: SignInDouble
    http: httpx.Client

    def app(self) -> App:
        return App(self.http, self.double)

    def load(self) -> Load:
        return Load(self.server.url, connections=64)

    @contextlib.asynccontextmanager
    async def killing(self) -> AsyncIterator[Killed]:
        """Meanwhile workers are killed, one after the other."""
        killed = Killed()
        task = asyncio.create_task(self._kill(killed))
        try:
            yield killed
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _kill(self, killed: Killed) -> None:
        await asyncio.sleep(random.random() / 2)
        while True:
            pids = self.server.worker_pids()
            if len(pids) == WORKERS:
                os.kill(pids[0], signal.SIGKILL)
                killed.times += 1
            await asyncio.sleep(KILL_SECONDS + random.random() / 2)

    def forget_all(self) -> None:
        """So that a test's audit is of what it has done."""
        for primary in self.redis.primaries():
            primary.flushall()

    def users(self, tenant_id: str) -> dict[str, dict[str, Any]]:
        """The records of those who are there, by ID."""
        found = {}
        for primary in self.redis.primaries():
            for key in primary.scan_iter("user:*", count=1000):
                user = json.loads(str(primary.get(key)))
                if user["tenantId"] == tenant_id and not user.get("closed"):
                    found[str(key).removeprefix("user:")] = user
        return found

    def records(self) -> dict[str, str]:
        """The user of each API key that has a record which stays."""
        found = {}
        for primary in self.redis.primaries():
            for key in primary.scan_iter("apiKey:*", count=1000):
                if primary.ttl(key) == -1:
                    found[str(key).removeprefix("apiKey:")] = str(primary.get(key))
        return found

    def audit(self) -> None:
        """Finds nothing, of any tenant."""
        env = {"REDIS_URL": self.redis.url, "REDIS_TIMEOUT": "5"}
        command = [sys.executable, "-m", "server", "audit"]
        done = subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " 0 broken" in done.stdout, done.stdout
