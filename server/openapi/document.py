"""The OpenAPI document, made of the app's routes."""

import re
from collections.abc import Iterable
from typing import Any, get_type_hints

from server.openapi.headers import headers
from server.openapi.responses import responses
from server.openapi.route import Area, Doc, Route, camel_case
from server.openapi.schemas import Json, Schemas, ref

_ABOUT = """\
Apps give their users metered access to AI providers: a user logs in, gets an API key with a
balance of tokens and a rate limit, and each call is charged in one atomic step. Where the balance
does not cover it, the answer is 402.

Bodies are JSON. Refusals are an `Error`, `{"error": "<message>"}`; the examples of each status show
its messages, and further members where it has them. A path that does not exist is 404
`{"error": "Not Found"}`, a method that it does not have is 405 `{"error": "Method Not Allowed"}`
with `Allow`; under `/{tenantId}/v1/` both say in the SDKs' shape what is served instead.
`X-Should-Retry: false` is on all that to repeat is of no use. Where a request has several faults,
any of the answers is right, and nothing changes.

After a 503 or a lost connection a charge, hold or grant may have been made or not. Repeated with
the same `Idempotency-Key`, it is made once.

Times are ISO 8601 in UTC. A request's `X-Request-ID` is returned if it is sane. Any origin may
call (CORS), unless the tenant's config has `allowed_origins`; each preflight is 204, and the reply
to the request itself says what is wrong."""

_SECURITY_SCHEMES = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "the API key of a user: `Authorization: Bearer <apiKey>`",
    },
    "apiKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "the same: `X-API-Key: <apiKey>`, which counts where both are there",
    },
    "adminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "the operator's `ADMIN_TOKEN`: `Authorization: Bearer <admin token>`",
    },
}
_SCHEMES: dict[str | None, list[str]] = {
    None: [],
    "user": ["apiKey", "apiKeyHeader"],
    "any key": ["apiKey", "apiKeyHeader"],
    "admin": ["adminToken"],
}

_GATEWAY = """\
The providers' own routes, for their SDKs, metered. Base URL of OpenAI's SDKs: \
`http://host/<tenantId>/v1`; of Anthropic's: `http://host/<tenantId>` (`/v1/v1/...` answers too). \
Refusals have the shape that the SDKs read, but for those of the request's form and size and of \
the tenant's ID; their message says what is needed and what is left, when to come back, or which \
route is served instead. `request-id` repeats `X-Request-ID`."""
AREAS: dict[Area, str] = {
    "Server": "The server itself.",
    "Login": "Where users and their API keys come from.",
    "Metering": "What a user has and spends, with the user's API key.",
    "Billing": "What a user buys, on pages of Stripe's.",
    "Gateway": _GATEWAY,
    "Administration": "For the operator, with the admin token.",
}


def document(routes: Iterable[Route]) -> Json:
    """The whole document, in the order of the routes."""
    schemas = Schemas()
    parameters: Json = {}
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
        parameters |= _parameters(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vibe-server",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "where this document is"}],
        "tags": [{"name": area, "description": about} for area, about in AREAS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "parameters": parameters,
            "headers": headers(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(route: Route, schemas: Schemas) -> Json:
    doc = route.doc
    found: Json = {
        "operationId": camel_case(route.name),
        "tags": [doc.area],
        "summary": doc.summary,
        "description": doc.about,
        "security": [{scheme: []} for scheme in _SCHEMES[doc.credential]],
        "parameters": [ref(name, "parameters") for name in _parameters(route, schemas)],
        "requestBody": _request_body(doc, schemas),
        "responses": responses(route, schemas),
    }
    return {name: value for name, value in found.items() if value or name == "security"}


def _request_body(doc: Doc, schemas: Schemas) -> Json:
    if not doc.body:
        return {}
    content = {"application/json": {"schema": schemas.of(doc.body)}}
    return {"required": doc.body_required, "content": content}


def _parameters(route: Route, schemas: Schemas) -> Json:
    """By name: those of the path, whose types are the handler's arguments, and the others."""
    hints = get_type_hints(route.handler, include_extras=True)
    arguments = {camel_case(name): kind for name, kind in hints.items()}
    found = {
        name: _parameter(name, "path", arguments[name], schemas, required=True)
        for name in re.findall(r"{(\w+)}", route.path)
    }
    for one in route.doc.parameters:
        found[one.name] = _parameter(one.name, one.place, one.value, schemas, one.required)
    return found


def _parameter(name: str, place: str, kind: Any, schemas: Schemas, required: bool) -> Json:
    """The description stands beside the schema, not in it."""
    schema = schemas.of(kind)
    about = schema.pop("description")
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": about,
        "schema": schema,
    }
