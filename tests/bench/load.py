"""Load on one route, and what a request of it costs in CPU."""

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

CONNECTIONS = 64

_WRK_SCRIPT = """
local api_key, users, path, body = %s, %d, %s, %s
math.randomseed(os.time())
local function post(user)
  return wrk.format("POST", path, {
    ["Authorization"] = "Bearer " .. string.format(api_key, user),
    ["Content-Type"] = "application/json",
  }, body)
end
local always
function request()
  if users > 1 then return post(math.random(0, users - 1)) end
  always = always or post(0)
  return always
end
function done(summary)
  local e = summary.errors
  print("RESULT", summary.requests, e.status, e.connect + e.read + e.write + e.timeout)
end
"""


class LoadError(Exception):
    """Some requests were not answered with 200, so their cost says nothing."""


@dataclass(frozen=True)
class Load:
    """POSTs of `body` to `url`, each as a random one of `users` numbered users.

    `api_key` is a format with one number, as `users.API_KEY`.
    """

    url: str
    api_key: str
    users: int = 1
    body: str = '{"tokens":1}'

    def send(self, seconds: float) -> int:
        """The number of requests that were answered in that time. Raises LoadError."""
        if shutil.which("wrk"):
            requests, refused, broken = self._send_by_wrk(seconds)
        else:
            requests, refused, broken = asyncio.run(self._send_by_aiohttp(seconds))
        if refused or broken or not requests:
            raise LoadError(f"{self.url}: of {requests}, {refused} refused, {broken} broken")
        return requests

    def _send_by_wrk(self, seconds: float) -> tuple[int, int, int]:
        base, _, path = self.url.removeprefix("http://").partition("/")
        texts = [f"[[{text}]]" for text in (self.api_key, f"/{path}", self.body)]
        script = _WRK_SCRIPT % (texts[0], self.users, texts[1], texts[2])
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script)
            file.flush()
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", file.name]
            output = subprocess.run(
                [*command, f"http://{base}"], capture_output=True, text=True, check=True
            ).stdout
        requests, refused, broken = output.partition("RESULT")[2].split()
        return int(requests), int(refused), int(broken)

    async def _send_by_aiohttp(self, seconds: float) -> tuple[int, int, int]:
        requests = refused = broken = 0
        deadline = time.monotonic() + seconds

        async def client(session: aiohttp.ClientSession) -> None:
            nonlocal requests, refused, broken
            while time.monotonic() < deadline:
                api_key = self.api_key % random.randrange(self.users)
                headers = {
                    "Authorization": f"Bearer {api_key}",
                    "Content-Type": "application/json",
                }
                try:
                    async with session.post(self.url, data=self.body, headers=headers) as reply:
                        await reply.read()
                        refused += reply.status != 200
                except aiohttp.ClientError:
                    broken += 1
                requests += 1

        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(client(session) for _ in range(CONNECTIONS)))
        return requests, refused, broken


def generator() -> str:
    """Which load generator is used."""
    return "wrk" if shutil.which("wrk") else "aiohttp (install wrk for steadier figures)"


def measure(load: Load, seconds: float, pids: Mapping[str, int]) -> dict[str, float]:
    """The CPU in us that one request costs in each of these processes. Raises LoadError."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    requests = load.send(seconds)
    return {name: (cpu_seconds(pid) - before[name]) / requests * 1e6 for name, pid in pids.items()}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    # The second field is the command's name in brackets, which may contain anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
