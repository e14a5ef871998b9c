"""How all doubles listen."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

SEND_BUFFER = 64 * 1024
"""Bytes; small, so that a peer that does not read is soon noticed."""
SHUTDOWN_SECONDS = 0.1

Listening = tuple[str, Callable[[], Awaitable[None]]]
"""The URL, and what ends it."""
Listen = Callable[[int], Awaitable[Listening]]
"""Serves on this port of 127.0.0.1; port 0 takes a free one. Raises OSError."""


async def listen(app: web.Application, port: int) -> Listening:
    """As Listen says."""
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS, access_log=None
    )
    await runner.setup()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    try:
        listener.bind(("127.0.0.1", port))
        await web.SockSite(runner, listener, backlog=1024).start()
    except OSError:
        listener.close()
        await runner.cleanup()
        raise
    return f"http://127.0.0.1:{listener.getsockname()[1]}", runner.cleanup


def run(name: str, about: str | None, port: int, start: Listen, says: str) -> None:
    """`python -m <name>`: serves until SIGTERM or SIGINT, on `port` unless it is told another.
    `says`, with {url} in it, is printed then."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    parser.add_argument("--port", type=int, default=port)
    try:
        asyncio.run(_serve(start, parser.parse_args().port, says))
    except OSError as error:
        sys.exit(f"Cannot listen: {error}")


async def _serve(start: Listen, port: int, says: str) -> None:
    """Raises OSError when the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url, end = await start(port)
    print(says.format(url=url), flush=True)
    await stop.wait()
    await end()
