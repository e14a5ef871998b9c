"""The server itself: is it up, is it ready."""

from typing import Literal

from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.request import Request, reply
from server.errors import Unavailable
from server.http import JsonReply
from server.openapi.route import Answer, Doc

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
        "Does the process answer?",
        [Answer("it does")],
        about="Touches nothing, Redis neither.",
    ),
)
async def check_live(_: Request) -> JsonReply[Alive]:
    return reply({"status": "ok"})


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
