"""CORS: the callers are browsers, and API keys are sent in headers, so any origin may call.

A tenant that lists `allowed_origins` is for those alone: other pages may not read its replies, and
may not log in either, which needs no credential and would leave a user behind. A preflight says yes
to whatever it asks, of any tenant: of one that is refused a page learns nothing, not even its
status, while the reply to the request itself says what is wrong.
"""

import re
from collections.abc import Mapping

from sanic.request import Request

from server.tenants.config import TenantConfig
from server.who import RestrictedKey

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Ours, and those that the providers' SDKs read; `*` is for all others, in browsers that know it.
_EXPOSED_HEADERS = (
    "Allow, ETag, Idempotent-Replayed, RateLimit, RateLimit-Policy, Request-ID, Retry-After, "
    "Retry-After-Ms, WWW-Authenticate, X-Request-ID, X-Should-Retry, X-Tokens-Charged, "
    "X-Tokens-Left, OpenAI-Model, OpenAI-Organization, OpenAI-Processing-Ms, OpenAI-Version, "
    "Anthropic-Organization-ID, *"
)
_PREFLIGHT_SECONDS = "600"


def headers(request: Request, config: TenantConfig | None) -> Mapping[str, str]:
    """The CORS headers of a reply; none unless the request has an Origin, or a head that could not
    be read, in which there may be one."""
    origin = request.headers.getone("origin", None)
    if origin is None and request.head:
        return {}
    allowed = config.allowed_origins if config else None
    if allowed is None:
        found = {"access-control-allow-origin": "*"}
    elif origin in allowed:
        found = {"access-control-allow-origin": origin, "vary": "Origin"}
    else:
        return {"vary": "Origin"}
    found["access-control-expose-headers"] = _EXPOSED_HEADERS
    return found


def may_call(request: Request, config: TenantConfig) -> bool:
    """Whether no page asks (an app, curl), or one of an origin that may call. For what a page must
    not even do, as to log in: of all else it just cannot read the reply."""
    allowed = config.allowed_origins
    origins = request.headers.getall("origin", ())
    return allowed is None or all(origin in allowed for origin in origins)


def may_use(request: Request, restricted: RestrictedKey) -> bool:
    """Whether a page asks that the key is for. Others than browsers can say so, too."""
    allowed, origins = restricted.origins, request.headers.getall("origin", ())
    return allowed is None or (len(origins) == 1 and origins[0] in allowed)


def is_preflight(request: Request) -> bool:
    """A browser asks whether a page may send a request like this."""
    given = request.headers
    return (
        request.method == "OPTIONS"
        and "origin" in given
        and "access-control-request-method" in given
    )


def preflight_headers(request: Request, methods: str = "") -> dict[str, str]:
    """What a preflight is told: that it may send what it asks for. `methods` are those of the
    route, if there is one."""
    given = request.headers
    allowed = [name for name in methods.split(", ") if name]
    asked = given.getone("access-control-request-method", "")
    if asked not in allowed and _TOKEN.fullmatch(asked):
        allowed.append(asked)
    found = {
        "access-control-allow-methods": ", ".join(allowed),
        "access-control-max-age": _PREFLIGHT_SECONDS,
    }
    names = ",".join(given.getall("access-control-request-headers", ())).split(",")
    tokens = [name for name in map(str.strip, names) if _TOKEN.fullmatch(name)]
    if tokens:
        found["access-control-allow-headers"] = ", ".join(tokens)
    return found
