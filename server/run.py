"""The body of a worker process, and the factory for those who run Sanic their own way."""

import socket

import uvloop

from server.app import Deps, create_app
from server.settings import Settings
from server.store import Store
from server.worker import serve


def run_worker(settings: Settings, listener: socket.socket, parent: int) -> None:
    app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
    uvloop.run(serve(app, listener, parent))
