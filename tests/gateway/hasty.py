"""A server that waits for providers no longer than a moment.

`python -m tests.gateway.hasty`; settings as for `python -m server`, PORT too.
"""

import os
import socket
import sys
from pathlib import Path

import uvloop

from server import logs
from server.app import Deps, create_app
from server.gateway import calls, streams
from server.process.worker import serve
from server.settings import Settings
from server.store.store import Store
from server.upstream import response as upstream_response
from tests.processes import ADMIN_TOKEN, START_SECONDS, Process, eventually, free_port

LIMIT_SECONDS = 0.4


class Hasty(Process):
    """The process, on a port of 127.0.0.1."""

    def __init__(self, output: Path, redis_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "ALLOW_PRIVATE_UPSTREAMS": "1",
        }
        super().__init__([sys.executable, "-m", "tests.gateway.hasty"], env, output)
        eventually(self._listens, START_SECONDS)

    def _listens(self) -> bool:
        assert self.popen.poll() is None, self.text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def main() -> None:
    upstream_response.IDLE_SECONDS = LIMIT_SECONDS
    calls.FIRST_BYTE_SECONDS = 2 * LIMIT_SECONDS  # as in earnest
    streams.READ_ON_SECONDS = LIMIT_SECONDS
    settings = Settings.from_environment(os.environ)
    logs.configure("info", "text")
    app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
    listener = socket.create_server(("127.0.0.1", settings.port))
    listener.setblocking(False)
    alive, _held = socket.socketpair()
    uvloop.run(serve(app, listener, alive.fileno()))


if __name__ == "__main__":
    main()
