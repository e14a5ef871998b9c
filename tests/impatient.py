"""A server that waits for clients a hundredth of the time, and has a route that fails.

`python -m tests.impatient`; settings as for `python -m server`, PORT too.
"""

import asyncio
import os
import socket
import sys
from pathlib import Path

import uvloop

from server import http, logs
from server.app import Deps, create_app
from server.blueprints.request import Request, reply
from server.http import Reply
from server.process.worker import serve
from server.settings import Settings
from server.store.store import Store
from tests.processes import ADMIN_TOKEN, START_SECONDS, Process, eventually, free_port

LIMIT_SECONDS = 0.3
ALL_LIMITS_SECONDS = 3 * LIMIT_SECONDS
"""Longer than any one limit, with the time between two checks of it."""


class Impatient(Process):
    """The process, on a port of 127.0.0.1."""

    def __init__(self, output: Path, redis_url: str, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {"PORT": str(self.port), "REDIS_URL": redis_url, "ADMIN_TOKEN": ADMIN_TOKEN}
        super().__init__([sys.executable, "-m", "tests.impatient"], env | settings, output)
        eventually(self._listens, START_SECONDS)

    def _listens(self) -> bool:
        assert self.popen.poll() is None, self.text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


async def fail(_: Request) -> Reply:
    raise RuntimeError("a detail that is nobody's business")


async def think(_: Request) -> Reply:
    await asyncio.sleep(ALL_LIMITS_SECONDS)
    return reply({"thought": True})


def main() -> None:
    http.HEADER_SECONDS = http.BODY_SECONDS = http.UNREAD_SECONDS = LIMIT_SECONDS  # type: ignore[assignment]
    http.LINGER_SECONDS, http.CHECK_SECONDS = LIMIT_SECONDS, LIMIT_SECONDS / 6  # type: ignore[assignment]
    settings = Settings.from_environment(os.environ)
    logs.configure("info", "text")
    app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
    app.config.KEEP_ALIVE_TIMEOUT = LIMIT_SECONDS
    app.add_route(fail, "/fail")
    app.add_route(think, "/think")
    listener = socket.create_server(("127.0.0.1", settings.port))
    listener.setblocking(False)
    alive, _held = socket.socketpair()
    uvloop.run(serve(app, listener, alive.fileno()))


if __name__ == "__main__":
    main()
