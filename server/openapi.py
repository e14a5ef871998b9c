"""The OpenAPI document, made of server/openapi_routes.py and server/openapi_parts.py."""

import re
from collections.abc import Sequence
from functools import cache

from server.errors import (
    BadRequest,
    Invalid,
    InvalidAdminToken,
    InvalidApiKey,
    InvalidJson,
    InvalidTenant,
    KeyReused,
    NoModel,
    NotFound,
    PayloadTooLarge,
    PaymentRequired,
    PreconditionFailed,
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderTimeout,
    Refusal,
    RequestTimeout,
    TenantExists,
    TooManyRequests,
    Unavailable,
    UnknownHold,
    Unsupported,
)
from server.openapi_gateway import routes as gateway_routes
from server.openapi_gateway import schemas as gateway_schemas
from server.openapi_parts import (
    Json,
    closed,
    example_of,
    headers,
    list_of,
    parameters,
    ref,
    schemas,
    text,
    tokens,
)
from server.openapi_routes import AREAS as OTHER_AREAS
from server.openapi_routes import RATE, Route
from server.results import LARGEST

_ABOUT = """\
Apps give their users metered access to AI providers: a user logs in, gets an API key with a
balance of tokens and a rate limit, and each call is charged in one atomic step. Where the balance
does not cover it, the answer is 402.

Bodies are JSON. Refusals are `{"error": "<message>"}`, with further members only where shown here;
a path that does not exist is 404 `{"error": "Not Found"}`, a method that it does not have is 405
`{"error": "Method Not Allowed"}` with `Allow`. Where a request has several faults, any of the
answers is right, and nothing changes.

After a 503 or a lost connection a charge, hold or grant may have been made or not. Repeated with
the same `Idempotency-Key`, it is made once.

Times are ISO 8601 in UTC. A request's `X-Request-ID` is returned if it is sane. Any origin may
call (CORS), unless the tenant's config has `allowed_origins`."""

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
        "description": "the same, without `Authorization`: `X-API-Key: <apiKey>`",
    },
    "adminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "the operator's `ADMIN_TOKEN`: `Authorization: Bearer <admin token>`",
    },
}
_CREDENTIALS: dict[str | None, tuple[list[str], list[type[Refusal]]]] = {
    None: ([], []),
    "user": (["apiKey", "apiKeyHeader"], [InvalidApiKey]),
    "admin": (["adminToken"], [InvalidAdminToken]),
}


class InternalServerError(Refusal):
    """Documented like a refusal, though nothing raises it: any unhandled exception is one."""

    status = 500
    message = "Internal Server Error"


_REFUSALS: dict[type[Refusal], tuple[str, Sequence[str]]] = {
    BadRequest: ("headers are malformed, ambiguous or too large", ()),
    InvalidJson: ("the body does not parse, or is not an object", ()),
    InvalidTenant: ("there is no such tenant", ()),
    Unsupported: ("a member of the request cannot be served; it is named", ()),
    InvalidApiKey: (
        "the API key is missing, malformed, unknown, revoked, expired or of another tenant",
        ["WWW-Authenticate"],
    ),
    InvalidAdminToken: ("the admin token is missing or wrong", ["WWW-Authenticate"]),
    PaymentRequired: ("the balance does not cover it; nothing is taken", RATE),
    NotFound: ("there is none in this tenant", ()),
    NoModel: ("no endpoint has the model", ()),
    UnknownHold: ("it is unknown, expired, or was not made by this user here", ()),
    RequestTimeout: ("headers or body come too slowly", ()),
    TenantExists: ("there is, or was, a tenant with this ID", ()),
    PreconditionFailed: ("the config is not the one that `If-Match` names", ()),
    PayloadTooLarge: ("the body is too large: over 1 MiB", ()),
    Invalid: ("well-formed but wrong: every fault is listed, nothing changed", ()),
    KeyReused: ("the `Idempotency-Key` came with another request before", ()),
    TooManyRequests: ("over the limit", ["Retry-After"]),
    ProviderBusy: ("the tenant's rate limit at the provider is reached", ()),
    InternalServerError: ("a fault of the server", ()),
    ProviderError: ("the provider fails or cannot be reached", ()),
    ProviderAuthError: ("it refuses the tenant's key", ()),
    ProviderQuota: ("the tenant's credit there is used up", ()),
    ProviderTimeout: ("the provider does not answer in time", ()),
    Unavailable: ("Redis cannot answer", ["Retry-After"]),
}
"""When each is given, and its headers."""

AREAS = {
    **OTHER_AREAS,
    "Gateway": ("The providers' own routes, for their SDKs, metered.", gateway_routes),
}
_ERRORS_OF = {"openai": "OpenAiError", "anthropic": "AnthropicError"}
_OF_ALL = (BadRequest, RequestTimeout, PayloadTooLarge, InternalServerError)


@cache
def document() -> Json:
    """The whole document; made once, when it is first asked for. Not to be changed."""
    paths: Json = {}
    for area, (_, routes) in AREAS.items():
        for route in routes():
            method, path = route.endpoint.split(" ")
            paths.setdefault(path, {})[method.lower()] = _operation(area, path, route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vibe-server", "version": "1", "description": _ABOUT},
        "tags": [{"name": area, "description": about} for area, (about, _) in AREAS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas() | gateway_schemas(),
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(area: str, path: str, route: Route) -> Json:
    schemes, _ = _CREDENTIALS[route.credential]
    names = [*re.findall(r"{(\w+)}", path), *route.parameters]
    found: Json = {
        "operationId": route.name,
        "tags": [area],
        "summary": route.summary,
        "description": route.about,
        "security": [{scheme: []} for scheme in schemes],
        "parameters": [ref(name, "parameters") for name in names],
        "responses": _responses(path, route),
    }
    if route.body:
        content = {"application/json": {"schema": ref(route.body)}}
        found["requestBody"] = {"required": route.body_required, "content": content}
    return {name: value for name, value in found.items() if value or name == "security"}


def _responses(path: str, route: Route) -> Json:
    """The route's own replies, and the refusals by status."""
    kinds = {*_OF_ALL, *route.refusals, *_CREDENTIALS[route.credential][1]}
    if path.startswith("/{tenantId}"):
        kinds |= {InvalidTenant, Unavailable}
    if route.body:
        kinds |= {InvalidJson} if route.speaks else {InvalidJson, Invalid}
    by_status: dict[int, list[type[Refusal]]] = {}
    for kind in _REFUSALS:
        if kind in kinds:
            by_status.setdefault(kind.status, []).append(kind)
    found = {status: _refusal(kinds, route) for status, kinds in by_status.items()}
    for reply in route.replies:
        schema = ref(reply.schema) if reply.schema else None
        response = _response(reply.when, reply.headers, schema, reply.media_type)
        if reply.streams:
            response["content"]["text/event-stream"] = {"schema": ref("EventStream")}
        found[reply.status] = response
    responses = {str(status): found[status] for status in sorted(found)}
    if route.speaks and route.body:
        passed_on = ref(_ERRORS_OF[route.speaks])
        responses["4XX"] = _response("the provider refuses the request", (), passed_on)
    return responses


def _response(
    when: str, names: Sequence[str], schema: Json | None, media_type: str = "application/json"
) -> Json:
    found = {name: ref(name, "headers") for name in ("X-Request-ID", *names)}
    content = {"content": {media_type: {"schema": schema}}} if schema else {}
    return {"description": when, "headers": found, **content}


def _refusal(kinds: Sequence[type[Refusal]], route: Route) -> Json:
    """The response for refusals of one status."""
    # Of the gateway's, some come with fewer headers.
    names = [name for kind in kinds for name in _REFUSALS[kind][1] if not route.speaks]
    if route.rated and kinds[0] is TooManyRequests and not route.speaks:
        names += RATE
    native = [_refusal_body(kind) for kind in kinds if kind.is_native or not route.speaks]
    shaped = [ref(_ERRORS_OF[route.speaks])] if route.speaks else []
    bodies = native + (shaped if len(native) < len(kinds) else [])
    schema = bodies[0]
    if len(bodies) > 1 and shaped:
        schema = {"oneOf": bodies, "examples": [example_of(body) for body in native]}
    elif len(bodies) > 1:
        schema = {"oneOf": bodies, "examples": [example_of(body) for body in bodies]}
    return _response("; or ".join(_REFUSALS[kind][0] for kind in kinds), names, schema)


def _refusal_body(kind: type[Refusal]) -> Json:
    if kind is Invalid:
        fault = {
            "path": text("as in `user_groups.anonymous.tokens`; '': the whole", "tokens"),
            "message": text("what is wrong", f"must be an integer from 1 to {LARGEST}"),
        }
        error = text("what was refused", "Invalid request")
        return closed({"error": error, "details": {**list_of(closed(fault)), "minItems": 1}})
    left = {"tokensLeft": tokens("the balance", 3)} if kind is PaymentRequired else {}
    return closed({"error": {"const": kind.message}, **left})
