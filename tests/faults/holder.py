"""A server with a route that holds tokens as the provider gateway does: `python -m
tests.faults.holder PORT REDIS_URL`. Its holds last 2 s and are extended while it lives."""

import asyncio
import socket
import sys

import uvloop
from sanic import Blueprint

from server.app import Deps, create_app
from server.blueprints.request import Request, load_tenant, reply
from server.http import Reply
from server.metering import holding
from server.process.worker import serve
from server.settings import Settings
from server.store.store import Store

blueprint = Blueprint("holder", url_prefix="/<tenant_id>")
blueprint.on_request(load_tenant)


@blueprint.post("/calls/<seconds:float>", stream=True)
async def call(request: Request, tenant_id: str, seconds: float) -> Reply:
    """A call to a provider that takes `seconds` and then costs what the body says."""
    who = await request.who()
    body = await request.read_object("tokens", "cost")
    tokens = body["tokens"]
    holds = request.services.holding.hold(who, tokens, 1, request.ref)
    async with holds as opened:
        # A provider has produced it, whatever becomes of us now.
        opened.cost = body["cost"]
        await asyncio.sleep(seconds)
    return reply({"held": opened.held.tokens})


def main() -> None:
    port, url = int(sys.argv[1]), sys.argv[2]
    holding.HOLD_MS, holding.EXTEND_SECONDS = 2_000, 0.5
    settings = Settings.from_environment(
        {"REDIS_URL": url, "ADMIN_TOKEN": "test-admin-token", "GRACE_SECONDS": "1"}
    )
    app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
    app.blueprint(blueprint)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    alive, _held = socket.socketpair()
    uvloop.run(serve(app, listener, alive.fileno()))


if __name__ == "__main__":
    main()
