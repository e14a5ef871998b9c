"""The yardstick: a bare Sanic route that parses the same POST, without Redis and checks.

Usage: python -m tests.bench.bare <port>. Served as in server/process/worker.py, with its settings.
"""

import asyncio
import socket
import sys

import orjson
import uvloop
from sanic import HTTPResponse, Request, Sanic

app = Sanic("bare", configure_logging=False)
app.config.update({"ACCESS_LOG": False, "AUTO_EXTEND": False, "KEEP_ALIVE_TIMEOUT": 75})


@app.post("/<tenant_id>/charges")
async def charge(request: Request, tenant_id: str) -> HTTPResponse:
    body = orjson.loads(request.body)
    reply = orjson.dumps({"tokensLeft": 1_000_000_000_000 - body["tokens"]})
    return HTTPResponse(reply, content_type="application/json")


async def serve(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    server = await app.create_server(sock=listener, asyncio_server_kwargs={"start_serving": False})
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
