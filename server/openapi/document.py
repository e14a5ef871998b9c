"""The OpenAPI document, made of routes.py, gateway.py and parts.py."""

import re
from collections.abc import Callable, Sequence
from functools import cache

from server.amounts import LARGEST
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
    Overloaded,
    PayloadTooLarge,
    PaymentRequired,
    PreconditionFailed,
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderRefused,
    ProviderTimeout,
    Refusal,
    RequestTimeout,
    TenantExists,
    TooManyRequests,
    Unavailable,
    UnknownHold,
    Unsupported,
)
from server.openapi import gateway as openapi_gateway
from server.openapi import routes as openapi_routes
from server.openapi.gateway import SPENT
from server.openapi.parts import (
    Json,
    closed,
    headers,
    list_of,
    parameters,
    ref,
    schemas,
    text,
    tokens,
)
from server.openapi.routes import RATE, Reply, Route

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
    Unsupported: ("a member cannot be served; it is named", ()),
    InvalidApiKey: (
        "the API key is missing, malformed, unknown, revoked, expired or of another tenant",
        ["WWW-Authenticate"],
    ),
    InvalidAdminToken: ("the admin token is missing or wrong", ["WWW-Authenticate"]),
    PaymentRequired: ("the balance does not cover it; nothing is taken", RATE),
    NotFound: ("there is none in this tenant", ()),
    NoModel: ("no endpoint has the model, and none is the default", ()),
    UnknownHold: ("it is unknown, expired, or was not made by this user here", ()),
    RequestTimeout: ("headers or body come too slowly", ()),
    TenantExists: ("there is, or was, a tenant with this ID", ()),
    PreconditionFailed: ("the config is not the one that `If-Match` names", ()),
    PayloadTooLarge: ("the body is over 1 MiB (10 MiB for provider calls)", ()),
    Invalid: ("well-formed but wrong: every fault is listed, nothing changed", ()),
    KeyReused: ("the `Idempotency-Key` came with another request before", ()),
    TooManyRequests: ("over the limit", ["Retry-After"]),
    ProviderRefused: ("the provider refuses the request", (*RATE, *SPENT)),
    ProviderBusy: ("the provider's limit is reached, which is the tenant's", (*RATE, *SPENT)),
    InternalServerError: ("a fault of the server", ()),
    ProviderError: ("the provider fails or cannot be reached", (*RATE, *SPENT)),
    ProviderAuthError: ("it refuses the tenant's key", (*RATE, *SPENT)),
    ProviderQuota: ("the tenant's credit there is used up", (*RATE, *SPENT)),
    ProviderTimeout: ("the provider does not answer in time", (*RATE, *SPENT)),
    Unavailable: ("Redis cannot answer", ["Retry-After"]),
    Overloaded: ("too many large requests at a time", ["Retry-After"]),
}
"""When each is given, and its headers."""

_OF_ALL = (BadRequest, RequestTimeout, PayloadTooLarge, InternalServerError)
# Of a provider they mean something else, and become another status.
_NOT_PASSED_ON = {"401", "402", "403", "429"}

AREAS: dict[str, tuple[str, Callable[[], list[Route]]]] = {
    "Server": ("The server itself.", openapi_routes.server),
    "Login": ("Where users and their API keys come from.", openapi_routes.login),
    "Metering": (
        "What a user has and spends, with the user's API key.",
        openapi_routes.metering,
    ),
    "Gateway": (openapi_gateway.ABOUT, openapi_gateway.routes),
    "Administration": ("For the operator, with the admin token.", openapi_routes.administration),
}


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
            "schemas": {**schemas(), **openapi_gateway.schemas()},
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
    kinds: set[type[Refusal]] = {*_OF_ALL, *route.refusals, *_CREDENTIALS[route.credential][1]}
    if path.startswith("/{tenantId}"):
        kinds |= {InvalidTenant, Unavailable}
    if route.body:
        kinds |= {InvalidJson} if route.speaks else {InvalidJson, Invalid}
    found = {status: _refusal(kinds, route) for status, kinds in _by_status(kinds).items()}
    by_status: dict[int, list[Reply]] = {}
    for reply in route.replies:
        by_status.setdefault(reply.status, []).append(reply)
    for number, replies in by_status.items():
        content = {reply.media_type: ref(reply.schema) for reply in replies if reply.schema}
        when = "; or ".join(reply.when for reply in replies)
        found[str(number)] = _response(when, [reply.headers for reply in replies], content)
    return {status: found[status] for status in sorted(found)}


def _by_status(kinds: set[type[Refusal]]) -> dict[str, list[type[Refusal]]]:
    """In the order of _REFUSALS. What a provider says of the request has the provider's status."""
    found: dict[str, list[type[Refusal]]] = {}
    for kind in _REFUSALS:
        if kind in kinds and kind is not ProviderRefused:
            found.setdefault(str(kind.status), []).append(kind)
    if ProviderRefused in kinds:
        found["4XX"] = []
        for status in found.keys() - _NOT_PASSED_ON:
            if status.startswith("4"):
                found[status].append(ProviderRefused)
    return found


def _response(when: str, names: Sequence[Sequence[str]], content: Json) -> Json:
    """`names`: the headers of each of the replies that this is; `content`: schemas by type."""
    found = {"X-Request-ID": ref("X-Request-ID", "headers")}
    for name in dict.fromkeys(name for each in names for name in each):
        in_all = all(name in each for each in names)
        found[name] = ref(name, "headers") if in_all else {**headers()[name], "required": False}
    media = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return {"description": when, "headers": found, **({"content": media} if media else {})}


def _refusal(kinds: Sequence[type[Refusal]], route: Route) -> Json:
    """The response for refusals of one status."""
    shaped = [kind for kind in kinds if route.speaks and not kind.is_native]
    bodies = [_refusal_body(kind) for kind in kinds if kind not in shaped]
    if route.speaks and shaped:
        bodies.append(openapi_gateway.errors(route.speaks, shaped))
    schema = bodies[0]
    if len(bodies) > 1:
        examples = [example for body in bodies for example in body["examples"]]
        schema = {"oneOf": bodies, "examples": examples}
    names = [_refusal_headers(kind, route) for kind in kinds]
    when = "; or ".join(_REFUSALS[kind][0] for kind in kinds)
    return _response(when, names, {"application/json": schema})


def _refusal_headers(kind: type[Refusal], route: Route) -> list[str]:
    rate = RATE if route.rated and kind is TooManyRequests else ()
    final = ["X-Should-Retry"] if route.speaks and kind.is_final else []
    return [*_REFUSALS[kind][1], *rate, *final]


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
