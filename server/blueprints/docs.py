"""The API's documentation, made when it is first asked for."""

from functools import cache
from inspect import unwrap
from typing import Annotated, Any

import orjson
from pydantic import Field
from sanic import Blueprint, Sanic
from typing_extensions import TypeAliasType

from server.blueprints.request import Request, send_in_pieces
from server.openapi import document as openapi
from server.openapi import page as openapi_page
from server.openapi.route import Answer, Doc, Route
from server.openapi.schemas import Json

blueprint = Blueprint("docs", url_prefix="/docs")

_HEADERS = {
    "cache-control": "public, max-age=300",
    # The page is all there is: no script, nothing from elsewhere, not in another page's frame.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
Page = TypeAliasType("Page", str)
Document = TypeAliasType(
    "Document",
    Annotated[dict[str, Any], Field(examples=[{"openapi": "3.1.0", "...": "..."}])],
)


@blueprint.get(
    "",
    ctx_doc=Doc(
        "Server",
        "This documentation, to read",
        [Answer("the page", Page, headers=["Cache-Control"], media_type="text/html")],
    ),
)
async def read_page(request: Request) -> None:
    await send_in_pieces(
        request, memoryview(_page(request.app)), _HEADERS, "text/html; charset=utf-8"
    )


@blueprint.get(
    "/openapi.json",
    ctx_doc=Doc(
        "Server",
        "This documentation, for programs",
        [Answer("the OpenAPI 3.1 document", Document, headers=["Cache-Control"])],
    ),
)
async def read_document(request: Request) -> None:
    document = memoryview(_document(request.app))
    await send_in_pieces(request, document, _HEADERS, "application/json")


@cache
def _document(app: Sanic[Any, Any]) -> bytes:
    return orjson.dumps(document_of(app))


@cache
def _page(app: Sanic[Any, Any]) -> bytes:
    return openapi_page.render(document_of(app)).encode()


@cache
def document_of(app: Sanic[Any, Any]) -> Json:
    """The OpenAPI document of an app. Not to be changed."""
    documented = [route for route in app.router.routes if hasattr(route.ctx, "doc")]
    blueprints = list(app.blueprints)
    routes = (
        Route(
            endpoint=route.ctx.label,
            name=route.name.rpartition(".")[2],
            handler=route.handler,
            doc=route.ctx.doc,
            speaks=getattr(route.ctx, "speaks", None),
        )
        for route in sorted(documented, key=lambda route: _place(route, blueprints))
    )
    return openapi.document(routes)


def _place(route: Any, blueprints: list[str]) -> tuple[int, int]:
    """Blueprints in the order that the app has them in, their routes in that of their file.

    Sanic keeps the routes of a blueprint as a set.
    """
    _, blueprint, _ = route.name.split(".")
    return blueprints.index(blueprint), unwrap(route.handler).__code__.co_firstlineno
