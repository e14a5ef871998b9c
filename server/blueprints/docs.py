"""The API's documentation, made when it is first asked for."""

from functools import cache

import orjson
from sanic import Blueprint

from server.blueprints.request import Request
from server.http import Reply
from server.openapi import document as openapi
from server.openapi import page as openapi_page

blueprint = Blueprint("docs", url_prefix="/docs")

_HEADERS = {
    "cache-control": "public, max-age=300",
    # The page is all there is: no script, nothing from elsewhere, not in another page's frame.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


@blueprint.get("")
async def page(_: Request) -> Reply:
    return Reply(_page(), headers=_HEADERS, content_type="text/html; charset=utf-8")


@blueprint.get("/openapi.json")
async def document(_: Request) -> Reply:
    return Reply(_document(), headers=_HEADERS, content_type="application/json")


@cache
def _document() -> bytes:
    return orjson.dumps(openapi.document())


@cache
def _page() -> bytes:
    return openapi_page.render(openapi.document()).encode()
