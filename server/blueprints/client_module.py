"""The client for pages, which they import from here: a module of JavaScript, and its types."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType

from server.blueprints.request import Request
from server.openapi.route import Answer, Doc, Parameter
from server.replies import Reply

blueprint = Blueprint("client_module")

_FOLDER = Path(__file__).parent.parent / "client"
_MODULE = (_FOLDER / "client.js").read_bytes()
_TYPES = (_FOLDER / "client.d.ts").read_bytes()
VERSION = hashlib.sha256(_MODULE).hexdigest()[:40]

_FOR_ALL = {
    # Always: what is kept from a request without an Origin is given to those with one, too.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}
_ALWAYS_ASK = "no-cache"
_FOR_GOOD = "public, max-age=31536000, immutable"

Module = TypeAliasType("Module", Annotated[str, Field(examples=["export async function ..."])])
Types = TypeAliasType("Types", Annotated[str, Field(examples=["export function connect(...)"])])


@blueprint.get(
    "/client.js",
    ctx_doc=Doc(
        "Server",
        "The client for pages",
        [
            Answer("the module", Module, 200, ["ETag", "Cache-Control"], "text/javascript"),
            Answer("it is what the page has", None, 304, ["ETag", "Cache-Control"]),
        ],
        about='`import { connect } from ".../client.js"`: logins, balance, sign-in, buying, voice, '
        "and options for the providers' SDKs; the same for all tenants, and without dependencies. "
        f"`/client.js?v={VERSION}`, which is this one, browsers keep for good; of other addresses "
        "they ask each time whether it has changed (`If-None-Match`).",
        parameters=[
            Parameter(
                "v",
                "query",
                Annotated[str, Field(description="which one is wanted", examples=[VERSION])],
            ),
        ],
    ),
)
async def read_module(request: Request) -> Reply:
    # Of another version, while servers are replaced, this one must not be kept in its place.
    caching = _FOR_GOOD if request.query_string == f"v={VERSION}" else _ALWAYS_ASK
    headers = {**_FOR_ALL, "etag": f'"{VERSION}"', "cache-control": caching}
    if _has_it(request):
        return Reply(status=304, headers=headers)
    return Reply(_MODULE, 200, headers, "text/javascript; charset=utf-8")


@blueprint.get(
    "/client.d.ts",
    ctx_doc=Doc(
        "Server",
        "Its types, for TypeScript and to read",
        [Answer("the declarations", Types, 200, ["Cache-Control"], "text/plain")],
    ),
)
async def read_types(_: Request) -> Reply:
    headers = {**_FOR_ALL, "cache-control": _ALWAYS_ASK}
    return Reply(_TYPES, 200, headers, "text/plain; charset=utf-8")


def _has_it(request: Request) -> bool:
    given = ",".join(request.headers.getall("if-none-match", ()))
    tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
    return "*" in tags or f'"{VERSION}"' in tags
