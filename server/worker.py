"""One worker: a single-process Sanic on a listening socket that it did not open.

The shutdown is our own. Sanic's closes Redis before aborted handlers have run their `finally`,
and keeps connections open that were busy when it began.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from sanic import Sanic
from sanic.server.async_server import AsyncioServer

from server.http import StrictProtocol
from server.services import Services

log = logging.getLogger(__name__)

BACKLOG = 1024
ABORT_SECONDS = 2


async def serve(app: Sanic[Any, Services], listener: socket.socket, parent: int) -> None:
    """Serves until SIGTERM or SIGINT, or until the parent has died; then drains.

    `parent` is a descriptor that becomes readable when the parent process has gone.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(parent, _once(loop, parent, stop.set))

    server = await app.create_server(
        sock=listener,
        protocol=StrictProtocol,
        backlog=BACKLOG,
        asyncio_server_kwargs={"start_serving": False},
    )
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    await stop.wait()
    await _stop(app, server)


def _once(loop: asyncio.AbstractEventLoop, fd: int, call: Callable[[], None]) -> Callable[[], None]:
    def ready() -> None:
        loop.remove_reader(fd)
        call()

    return ready


async def _stop(app: Sanic[Any, Services], server: AsyncioServer) -> None:
    """Serves on, not ready, for DRAIN_SECONDS; then lets what runs finish in GRACE_SECONDS."""
    settings = app.ctx.settings
    app.ctx.draining = True
    app.ctx.stop_by = (
        asyncio.get_running_loop().time() + settings.drain_seconds + settings.grace_seconds
    )
    await asyncio.sleep(settings.drain_seconds)
    await server.before_stop()
    app.ctx.closing = True
    server.close()
    connections = server.connections
    await _until_closed(connections, settings.grace_seconds)
    if connections:
        log.warning("%d requests did not finish in time", len(connections))
        for connection in list(connections):
            connection.abort()
        # Aborting cancels the handlers; they settle in `finally`, before Redis is closed.
        await _until_closed(connections, ABORT_SECONDS)
        await asyncio.sleep(0.05)
    await server.after_stop()


async def _until_closed(connections: set[Any], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while connections and loop.time() < deadline:
        # Again and again: a connection becomes idle when its reply has been sent.
        for connection in list(connections):
            connection.close_if_idle()
        await asyncio.sleep(0.02)
