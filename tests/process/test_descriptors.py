"""How many descriptors it may have, and what happens when there are no more."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.processes import ADMIN_TOKEN, Process, Server, Valkey, eventually, until_up

LIMIT = 64


class Limited(Server):
    """`ulimit` is what the shell that starts it is told before."""

    def __init__(self, output: Path, ulimit: str, redis_url: str) -> None:
        env = {"PORT": "0", "REDIS_URL": redis_url, "ADMIN_TOKEN": ADMIN_TOKEN}
        command = ["sh", "-c", f"ulimit {ulimit} && exec {sys.executable} -m server"]
        Process.__init__(self, command, {**env, "PYTHONUNBUFFERED": "1"}, output)
        until_up(self)

    def limit(self) -> list[str]:
        """The soft one of its only worker, and the hard one."""
        (pid,) = self.worker_pids()
        (line,) = [
            line
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
            if line.startswith("Max open files")
        ]
        return line.split()[3:5]

    def descriptors(self) -> int:
        (pid,) = self.worker_pids()
        return len(os.listdir(f"/proc/{pid}/fd"))


def test_the_soft_limit_is_raised_to_the_hard_one(valkey: Valkey, tmp_path: Path) -> None:
    with Limited(tmp_path / "out", "-Sn 256 && ulimit -Hn 5000", valkey.url) as server:
        assert server.limit() == ["5000", "5000"]
        assert "descriptors" not in server.text()


@contextmanager
def clients(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many that connect, and then wait."""
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((host, int(port)), 5))
            for _ in range(count)
        ]


def test_more_clients_than_descriptors(valkey: Valkey, tmp_path: Path) -> None:
    """And the connection to Redis is lost meanwhile."""
    with Limited(tmp_path / "out", f"-n {LIMIT}", valkey.url) as server:
        assert f"[INFO] At most {LIMIT} descriptors" in server.text()
        with clients(server, 2 * LIMIT):
            eventually(lambda: server.descriptors() >= LIMIT - 1)
            valkey.client.client_kill_filter(_type="normal", skipme=True)
        eventually(server.is_up)
        assert httpx.post(f"{server.url}/abc/auth/anonymous").status_code == 200
        assert server.stop() == 0
        assert "Traceback" not in server.text()
        assert "ended with status" not in server.text()
