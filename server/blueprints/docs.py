"""The API's documentation."""

from sanic import Blueprint

from server.blueprints.request import Request, reply
from server.http import Reply

blueprint = Blueprint("docs", url_prefix="/docs")


@blueprint.get("/openapi.json")
async def openapi(_: Request) -> Reply:
    return reply({})
