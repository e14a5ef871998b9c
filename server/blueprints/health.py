"""The server itself: is it up, is it ready."""

from typing import Literal

from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.request import Request, reply
from server.errors import Unavailable
from server.openapi.route import Answer, Doc
from server.replies import JsonReply

blueprint = Blueprint("health")


class Greeting(TypedDict):
    message: Literal["vibe-server API is running"]


class Alive(TypedDict):
    status: Literal["ok"]


class Ready(TypedDict):
    status: Literal["ready"]


class NotReady(TypedDict):
    status: Literal["unavailable"]


@blueprint.get("/", ctx_doc=Doc("Server", "A greeting", [Answer("always")]))
async def greet(_: Request) -> JsonReply[Greeting]:
    return reply({"message": "vibe-server API is running"})


@blueprint.get(
    "/livez",
    ctx_doc=Doc(
        "Server",
        "Does the process answer, and do its work?",
        [
            Answer("it does", Alive),
            Answer("it cannot speak to Redis any more, not even to try", NotReady, status=503),
        ],
        about="Asks nobody, Redis neither: whether that is there makes no difference.",
    ),
)
async def check_live(request: Request) -> JsonReply[Alive] | JsonReply[NotReady]:
    if not request.services.is_alive():
        dead: NotReady = {"status": "unavailable"}
        return reply(dead, 503)
    alive: Alive = {"status": "ok"}
    return reply(alive)


@blueprint.get(
    "/readyz",
    ctx_doc=Doc(
        "Server",
        "Can it serve?",
        [
            Answer("Redis answers", Ready),
            Answer(
                "Redis does not answer in time, or the server is about to stop",
                NotReady,
                status=503,
                headers=["Retry-After"],
            ),
        ],
    ),
)
async def check_ready(request: Request) -> JsonReply[Ready] | JsonReply[NotReady]:
    try:
        if request.services.draining:
            raise Unavailable
        await request.services.ping_redis()
    except Unavailable:
        not_ready: NotReady = {"status": "unavailable"}
        return reply(not_ready, 503, {"retry-after": "1"})
    ready: Ready = {"status": "ready"}
    return reply(ready)
