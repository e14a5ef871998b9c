"""One worker: a single-process Sanic on a listening socket that it did not open.

The shutdown is our own. Sanic's closes Redis before aborted handlers have run their `finally`,
and keeps connections open that were busy when it began.
"""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import uvloop
from sanic import Sanic
from sanic.http import Stage
from sanic.server.async_server import AsyncioServer

from server.app import Deps, create_app, create_metrics_app
from server.metrics.shared import this_worker
from server.process.shutdown import SIGNALS
from server.protocol import StrictProtocol
from server.services import Services
from server.settings import Settings
from server.store.store import Store
from server.tasks import keep_going
from server.timeouts import Timeouts

log = logging.getLogger(__name__)

BACKLOG = 1024
# Between two looks whether this worker is still of use.
DEAD_SECONDS = 2.0


def run_worker(
    settings: Settings,
    listener: socket.socket,
    parent: int,
    metrics_listener: socket.socket | None = None,
) -> None:
    """The body of a worker process; the arguments as in `serve`."""
    app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
    # The garbage collector is only for objects that refer to each other in a circle. What is here
    # now stays anyway, and a request leaves next to none, so that it may look seldom: at its usual
    # pace it takes a tenth of the CPU of a provider call.
    gc.freeze()
    gc.set_threshold(20_000, 20, 10)
    uvloop.run(serve(app, listener, parent, metrics_listener))


async def serve(
    app: Sanic[Any, Services],
    listener: socket.socket,
    parent: int,
    metrics_listener: socket.socket | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, or until the parent has died; then drains.

    `parent` is a descriptor that becomes readable when the parent process has gone;
    `metrics_listener` is for METRICS_PORT.
    """
    stop, drain_seconds = asyncio.Event(), app.ctx.settings.drain_seconds
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)

    def stop_at_once() -> None:
        nonlocal drain_seconds
        drain_seconds = 0.0
        stop.set()

    def orphaned() -> None:
        loop.remove_reader(parent)
        # Nobody is left whom it would help that we serve on, and a next server needs the port.
        stop_at_once()

    loop.add_reader(parent, orphaned)

    server = await _start(app, listener)
    metrics_server = None
    if metrics_listener is not None:
        metrics_server = await _start(create_metrics_app(app.ctx), metrics_listener)

    tasks = [
        asyncio.create_task(keep_going(this_worker.publish_and_pause, "Publishing the metrics")),
        asyncio.create_task(
            keep_going(partial(_stop_if_dead, app.ctx, stop_at_once), "Looking after this worker")
        ),
    ]
    await stop.wait()
    await _stop(app, server, drain_seconds)
    if metrics_server is not None:
        metrics_server.close()
    for task in tasks:
        task.cancel()
    this_worker.publish()
    # All is done: a second signal must not make a failure of it when the loop has closed.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


async def _stop_if_dead(services: Services, stop: Callable[[], None]) -> None:
    """The supervisor replaces a worker that ends by itself, which is all that helps then."""
    for _ in range(2):  # once, it may be the loop that was late
        await asyncio.sleep(DEAD_SECONDS)
        if services.is_alive() or services.draining:
            return
    log.error("This worker cannot speak to Redis any more, and ends")
    stop()


async def _start(app: Sanic[Any, Services], listener: socket.socket) -> AsyncioServer:
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
    return server


async def _stop(app: Sanic[Any, Services], server: AsyncioServer, drain_seconds: float) -> None:
    """The end of a worker. All of it in order, with the settings and the Timeouts that bound it:

    1. The supervisor closes its listeners and sends SIGTERM on, which sets `stop` in `serve`.
    2. DRAIN_SECONDS: /readyz is 503 (Services.draining), but requests are served; no session of
       voice begins.
    3. GRACE_SECONDS: nobody can connect any more; a connection is closed when it has been idle for
       `idle_connection`. Sessions of voice are told to end, and have `let_end` for the response
       that runs. What still runs is aborted then, and has `abort` to end.
    4. stop_services in app.py: calls without a client have what is left of the grace, then are
       cancelled and have `cancel`; settles have at least `finish`; then Redis is closed.
    5. `kill` after the grace the supervisor kills a worker that is still there. The bundled Valkey
       is stopped last.
    """
    services, timeouts = app.ctx, app.ctx.timeouts
    services.drain(drain_seconds)
    await asyncio.sleep(drain_seconds)
    await server.before_stop()
    server.close()
    services.voice.end()
    connections = server.connections
    await _until_closed(connections, services.settings.grace_seconds, timeouts)
    if busy := [connection for connection in connections if not _is_idle(connection)]:
        log.warning("%d requests did not finish in time", len(busy))
    for connection in list(connections):
        connection.abort()
    # Aborting cancels the handlers; they settle in `finally`, before Redis is closed.
    await _until_closed(connections, timeouts.abort, timeouts)
    await asyncio.sleep(0.05)
    await server.after_stop()


async def _until_closed(connections: set[Any], seconds: float, timeouts: Timeouts) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while connections and loop.time() < deadline:
        # Again and again: a connection becomes idle when its reply has been sent.
        for connection in list(connections):
            if _is_idle(connection) and monotonic() - connection._time > timeouts.idle_connection:
                connection.close()
        await asyncio.sleep(0.02)


def _is_idle(connection: Any) -> bool:
    """No request has arrived, not even in part, and the last reply is sent."""
    http, transport = connection.http, connection.transport
    if http is None or transport is None or http.stage is not Stage.IDLE:
        return False
    return not connection.recv_buffer and not transport.get_write_buffer_size()
