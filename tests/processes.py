"""Real processes for tests and benchmarks: Valkey and the server, started and ended by id."""

import asyncio
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from server.process.embedded import binary

ROOT = Path(__file__).parent.parent
ADMIN_TOKEN = "test-admin-token"
START_SECONDS = 30
# Not the usual one, which Hypothesis seeds: processes that test at the same time must differ.
_CHANCE = random.SystemRandom()
_GIVEN: set[int] = set()


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Polls until `condition` is true; fails the test when it stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """As `eventually`, while the loop goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.005)


def free_port() -> int:
    """One that nobody else is given, and below those that the system gives to connections: any of
    them could take it before it is used."""
    while True:
        port = _CHANCE.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


def ran(
    command: Sequence[str], seconds: float = 600, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What a command has said once it is over. Fails the test when the command does."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


class Process:
    """A child in a session of its own, its output kept in a file."""

    def __init__(self, command: list[str], env: Mapping[str, str], output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.popen = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **env},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        os.killpg(self.pid, number)

    def wait(self, seconds: float = 40) -> int:
        """The exit status; the test fails when the process does not end in time."""
        return self.popen.wait(seconds)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL to the group if that does not help; the exit status."""
        if self.popen.poll() is None:
            self.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.signal_group(signal.SIGKILL)
            return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class Valkey(Process):
    """A Valkey on a TCP port of 127.0.0.1, its data in `folder`; `options` as in its config.

    `program`: another server than the bundled one.
    """

    def __init__(self, folder: Path, port: int = 0, program: str = "", /, **options: str) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        defaults = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(folder), "save": ""}
        merged = defaults | {name.replace("_", "-"): value for name, value in options.items()}
        flags = [word for name, value in merged.items() for word in (f"--{name}", value)]
        super().__init__([program or binary(), *flags], {}, folder / "valkey.out")
        self.client = redis.Redis(port=self.port, decode_responses=True)
        try:
            eventually(self._answers, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def calls(self, command: str) -> int:
        """How often it was run, by clients and scripts."""
        stats = self.client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Server(Process):
    """`python -m server` with these settings (by environment variable) and arguments."""

    def __init__(self, output: Path, *arguments: str, wait: bool = True, **settings: str) -> None:
        env = {"PORT": "0", "ADMIN_TOKEN": ADMIN_TOKEN, "PYTHONUNBUFFERED": "1", **settings}
        super().__init__([sys.executable, "-m", "server", *arguments], env, output)
        if wait:
            until_up(self)

    @property
    def url(self) -> str:
        found = re.findall(r"Listening on (http://\S+?)[\s\"]", self.text())
        return str(found[-1]) if found else ""

    def is_up(self) -> bool:
        """Some worker answers."""
        if not self.url:
            return False
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
                return connection.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def resident(self) -> int:
        """Bytes of memory of its only worker."""
        (pid,) = self.worker_pids()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def until_up(server: Server) -> None:
    """Waits until it serves; fails the test when it ends instead."""
    eventually(lambda: server.popen.poll() is not None or server.is_up(), START_SECONDS)
    assert server.popen.poll() is None, server.text()
