"""The yardstick of the gateway: bare Sanic and aiohttp that pass a call through, unmetered.

Usage: python -m tests.bench.passthrough <port> <upstream>. Served as tests/bench/bare.py.
"""

import sys
from typing import Any

import aiohttp
import uvloop
from sanic import HTTPResponse, Request

from tests.bench.bare import app, serve

_state: dict[str, Any] = {}


@app.before_server_start
async def open_session(_: object) -> None:
    _state["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@app.post("/<tenant_id>/v1/chat/completions")
async def chat_completions(request: Request, tenant_id: str) -> HTTPResponse | None:
    headers = {"authorization": "Bearer sk-bench", "content-type": "application/json"}
    post = _state["session"].post(_state["upstream"], data=request.body, headers=headers)
    async with post as upstream:
        content_type = upstream.headers["content-type"]
        if content_type == "application/json":
            body = await upstream.read()
            return HTTPResponse(body, upstream.status, content_type=content_type)
        response = await request.respond(content_type=content_type)
        async for chunk in upstream.content.iter_any():
            await response.send(chunk)
        await response.eof()
    return None


if __name__ == "__main__":
    _state["upstream"] = sys.argv[2]
    uvloop.run(serve(int(sys.argv[1])))
