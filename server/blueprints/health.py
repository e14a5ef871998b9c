"""The server itself: is it up, is it ready."""

from sanic import Blueprint

from server.blueprints.request import Request, reply
from server.errors import Unavailable
from server.http import Reply

blueprint = Blueprint("health")


@blueprint.get("/")
async def root(_: Request) -> Reply:
    return reply({"message": "vibe-server API is running"})


@blueprint.get("/livez")
async def livez(_: Request) -> Reply:
    return reply({"status": "ok"})


@blueprint.get("/readyz")
async def readyz(request: Request) -> Reply:
    try:
        if request.services.draining:
            raise Unavailable
        await request.services.ping_redis()
    except Unavailable:
        return reply({"status": "unavailable"}, 503, {"retry-after": "1"})
    return reply({"status": "ready"})
