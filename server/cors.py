"""CORS: the callers are browsers, and API keys are sent in headers, so any origin may call.

A tenant that lists `allowed_origins` is for those alone.
"""

from collections.abc import Mapping

from sanic.request import Request

from server.tenants import TenantConfig

_ALLOWED_HEADERS = frozenset(
    {"authorization", "content-type", "idempotency-key", "if-match", "x-api-key", "x-request-id"}
)
_ALLOWED_PREFIXES = ("anthropic-", "x-stainless-")
_EXPOSED_HEADERS = (
    "Allow, ETag, Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID, X-Should-Retry, X-Tokens-Charged, X-Tokens-Left"
)
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


def preflight_headers(request: Request, methods: str) -> Mapping[str, str]:
    """What a preflight may be told: the methods of the route, and the headers that we know."""
    asked = request.headers.getone("access-control-request-headers", "").split(",")
    known = [name.strip() for name in asked if _is_allowed(name.strip().lower())]
    found = {
        "access-control-allow-methods": methods,
        "access-control-max-age": _PREFLIGHT_SECONDS,
    }
    if known:
        found["access-control-allow-headers"] = ", ".join(known)
    return found


def _is_allowed(name: str) -> bool:
    return name in _ALLOWED_HEADERS or (
        name.startswith(_ALLOWED_PREFIXES) and name.replace("-", "").isalnum()
    )
