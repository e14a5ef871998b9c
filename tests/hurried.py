"""A server with other timeouts, with routes that only tests need, and for which the DNS of
*.silent.example is silent.

`python -m tests.hurried TIMEOUTS`, JSON of some fields of server.timeouts.Timeouts; settings as for
`python -m server`.
"""

import asyncio
import gc
import logging
import os
import socket
import sys
import time
from pathlib import Path

import orjson
import uvloop
from sanic import Blueprint

from server import connections, logs, metrics
from server.app import Deps, create_app
from server.blueprints.request import Request, load_tenant, reply
from server.metering.holding import Ending
from server.process.shutdown import Shutdown
from server.process.supervisor import Supervisor
from server.process.worker import serve
from server.replies import Reply
from server.settings import Settings
from server.store.store import Store
from server.tenants.realtime import RealtimeEndpoint
from server.timeouts import Timeouts
from server.upstream.response import Response
from tests.processes import ADMIN_TOKEN, Process, Server, until_up
from tests.silent_names import SilentNames

LIMIT_SECONDS = 0.4
"""Of those that wait no longer than a moment."""
ALL_LIMITS_SECONDS = 3 * LIMIT_SECONDS
"""Longer than any one limit, with the time between two checks of it."""

CLIENTS = {
    **dict.fromkeys(("header", "body", "unread", "linger", "keep_alive"), LIMIT_SECONDS),
    "client_check": LIMIT_SECONDS / 6,
}
"""Waits for clients no longer than a moment."""
PROVIDERS = {
    "first_byte": 2 * LIMIT_SECONDS,
    "idle": LIMIT_SECONDS,
    "read_on": LIMIT_SECONDS,
    "unpaid": LIMIT_SECONDS,
}
"""Waits for providers no longer than a moment; twice as long for the first byte, as in earnest."""
BLOCKED = "The loop is held up"
"""What /block prints when it begins."""
FINDING = "How much was it?"
"""What /calls prints when it is asked what a call cost."""
HOLD_SECONDS = 2
HOLDS = {"hold": HOLD_SECONDS, "extend": 0.5}
"""Holds that go back soon."""


class Hurried(Server):
    """The process, on some port of 127.0.0.1; it may call private providers."""

    def __init__(
        self, output: Path, redis_url: str, timeouts: dict[str, float], **settings: str
    ) -> None:
        env = {"PORT": "0", "REDIS_URL": redis_url, "ADMIN_TOKEN": ADMIN_TOKEN}
        env |= {"ALLOW_PRIVATE_UPSTREAMS": "1", "PYTHONUNBUFFERED": "1", **settings}
        command = [sys.executable, "-m", "tests.hurried", orjson.dumps(timeouts).decode()]
        Process.__init__(self, command, env, output)
        until_up(self)


server = Blueprint("for-tests")
of_tenant = Blueprint("for-tests-of-a-tenant", url_prefix="/<tenant_id>")
of_tenant.on_request(load_tenant)


@server.get("/fail")
async def fail(request: Request) -> Reply:
    raise RuntimeError(request.args.get("detail", "a detail that is nobody's business"))


@server.get("/think")
async def think(_: Request) -> Reply:
    await asyncio.sleep(ALL_LIMITS_SECONDS)
    return reply({"thought": True})


@server.post("/block/<seconds:float>")
async def block(_: Request, seconds: float) -> Reply:
    """Holds up the loop, as something that takes long does."""
    print(BLOCKED, flush=True)
    time.sleep(seconds)  # noqa: ASYNC251  # that is the point
    return reply({"blocked": seconds})


@server.post("/end-sending")
async def end_sending(_: Request) -> Reply:
    """Ends the tasks that send commands to Redis, as nothing should."""
    found = {task: getattr(task.get_coro(), "cr_frame", None) for task in asyncio.all_tasks()}
    sending = [
        task
        for task, frame in found.items()
        if frame is not None and frame.f_locals.get("what") == "Sending to Redis"
    ]
    for task in sending:
        task.cancel()
    return reply({"ended": len(sending)})


@server.post("/break/<what:str>")
async def break_something(_: Request, what: str) -> Reply:
    """From now on it fails in a way that nobody foresaw."""

    def fails(*_: object) -> None:
        raise RuntimeError("unforeseen")

    holder, name = {"leaving": (Response, "leave"), "counting": (metrics, "call_ended")}[what]
    setattr(holder, name, fails)
    return reply({"broken": what})


@server.post("/most-unread/<count:int>")
async def bound_unread(_: Request, count: int) -> Reply:
    """As many clients may leave replies unread; they take much of the system's own memory."""
    connections.MOST_UNREAD = count
    return reply({"most": count})


@server.post("/short-sessions/<times:int>")
async def shorten_sessions(_: Request, times: int) -> Reply:
    """From now on sessions of voice last so many times shorter than their endpoints say."""
    as_said = RealtimeEndpoint.most_seconds
    RealtimeEndpoint.most_seconds = lambda self, name: as_said(self, name) / times  # type: ignore[assignment, method-assign, return-value]
    return reply({"times": times})


@of_tenant.post("/calls/<seconds:float>", stream=True)
async def call(request: Request, tenant_id: str, seconds: float) -> Reply:
    """Holds tokens as a call to a provider does, that takes `seconds` and then costs what the body
    says; to find that takes `finding` seconds."""
    who = await request.who()
    body = await request.read_any_object()

    async def end() -> Ending:
        # A provider has produced it, whatever has become of us.
        print(FINDING, flush=True)
        await asyncio.sleep(body.get("finding", 0))
        return Ending(body["cost"], request.ref)

    async with request.services.holding.hold(
        request.meter(), who, body["tokens"], 1, request.ref, end
    ) as hold:
        await asyncio.sleep(seconds)
    return reply({"held": hold.held.tokens})


def main() -> None:
    shutdown = Shutdown()
    socket.getaddrinfo = SilentNames().getaddrinfo  # type: ignore[assignment]
    timeouts = Timeouts(**orjson.loads(sys.argv[1]))
    settings = Settings.from_environment(os.environ)
    logs.configure("info", settings.log_format)
    listener = socket.create_server(("127.0.0.1", settings.port), backlog=1024)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    logging.getLogger("server").info("Listening on http://127.0.0.1:%d", port)

    def work(_: int, parent: int) -> None:
        store = Store(settings.redis_url, settings.redis_timeout)
        app = create_app(Deps(settings, store, timeouts))
        app.blueprint([server, of_tenant])
        uvloop.run(serve(app, listener, parent))

    gc.freeze()  # as the server does when it has imported all
    stop_seconds = settings.drain_seconds + settings.grace_seconds + timeouts.kill
    Supervisor(
        work, [listener], settings.workers, stop_seconds, shutdown, on_death=lambda _: None
    ).run()
    shutdown.done()


if __name__ == "__main__":
    main()
