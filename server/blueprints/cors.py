"""CORS: the callers are browsers, and API keys are sent in headers, so any origin may call.

A tenant that lists `allowed_origins` is for those alone: other pages may not read its replies, and
may not log in either, which needs no credential and would leave a user behind.
"""

import re
from collections.abc import Mapping

from sanic.request import Request

from server.tenants.config import TenantConfig

_ALLOWED_HEADERS = re.compile(
    r"authorization|content-type|idempotency-key|if-match|x-api-key|x-request-id"
    r"|(?:anthropic|x-stainless)-[a-z0-9-]+",
    re.IGNORECASE | re.ASCII,
)
_EXPOSED_HEADERS = (
    "Allow, ETag, Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID, X-Should-Retry, X-Tokens-Charged, X-Tokens-Left"
)
_MOST_HEADERS = 100
_PREFLIGHT_SECONDS = "600"


def headers(request: Request, config: TenantConfig | None) -> Mapping[str, str]:
    """The CORS headers of a reply; none unless the request has an Origin."""
    origin = request.headers.getone("origin", None)
    if origin is None:
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


def may_log_in(request: Request, config: TenantConfig) -> bool:
    """Whether no page asks (an app, curl), or one of an origin that may call."""
    allowed = config.allowed_origins
    origins = request.headers.getall("origin", ())
    return allowed is None or all(origin in allowed for origin in origins)


def preflight_headers(request: Request, methods: str) -> Mapping[str, str]:
    """What a preflight may be told: the methods of the route, and the headers that we know."""
    if "origin" not in request.headers:
        return {}
    asked = ",".join(request.headers.getall("access-control-request-headers", ()))
    names = asked.split(",", _MOST_HEADERS)[:_MOST_HEADERS]
    known = [name for name in map(str.strip, names) if _ALLOWED_HEADERS.fullmatch(name)]
    found = {
        "access-control-allow-methods": methods,
        "access-control-max-age": _PREFLIGHT_SECONDS,
    }
    if known:
        found["access-control-allow-headers"] = ", ".join(known)
    return found
