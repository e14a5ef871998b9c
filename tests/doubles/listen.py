"""How all doubles listen."""

import socket

from aiohttp import web

SEND_BUFFER = 64 * 1024
"""Bytes; small, so that a peer that does not read is soon noticed."""
SHUTDOWN_SECONDS = 0.1


async def listen(app: web.Application, port: int) -> tuple[web.AppRunner, str]:
    """Serves on 127.0.0.1; port 0 takes a free one. Gives the URL. Raises OSError."""
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
    return runner, f"http://127.0.0.1:{listener.getsockname()[1]}"
