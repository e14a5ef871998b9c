"""The headers of replies, which routes and refusals name."""

from server.http import REQUEST_ID
from server.openapi.schemas import Json
from server.openapi.values import exactly
from server.tenants.tenants import ETAG

RATE = ("RateLimit-Policy", "RateLimit")
LEFT = ("X-Tokens-Left",)
SPENT = ("X-Tokens-Charged", *LEFT)
EXAMPLE_OF_ETAG = f'"{"0a" * 20}"'

# Listed for a reply that has them only at times: the first when an earlier reply is repeated, the
# others when they are known as the reply begins, of a streamed one never.
_AT_TIMES = ("Idempotent-Replayed", *SPENT)


def headers() -> dict[str, Json]:
    """components/headers: a reply has each one that is listed for it, but for `_AT_TIMES`."""
    digits = "[0-9]+"
    found = {
        "X-Request-ID": _text(
            "the request's own if that is of this pattern, else a new one",
            "3f1c0a9be2d84756a1b2c3d4",
            exactly(REQUEST_ID),
        ),
        "RateLimit-Policy": _text(
            "the limit: `q` requests in `w` seconds",
            '"requests";q=10;w=60',
            f'^"requests";q={digits};w={digits}$',
        ),
        "RateLimit": _text(
            "`r` requests are left; the oldest one leaves the window in `t` seconds",
            '"requests";r=9;t=60',
            f'^"requests";r={digits};t={digits}$',
        ),
        "Retry-After": _text("seconds, rounded up", "1", "^[1-9][0-9]*$"),
        "X-Tokens-Charged": _text("what the call cost, if it is not streamed", "12", f"^{digits}$"),
        "X-Tokens-Left": _text(
            "the balance, after the call if it is not streamed", "88", f"^{digits}$"
        ),
        "X-Should-Retry": _text(
            "tells clients that to repeat it is of no use, or not for long", "false", "^false$"
        ),
        "WWW-Authenticate": _text("the scheme to use", "Bearer", "^Bearer$"),
        "Idempotent-Replayed": _text("only when a first reply is repeated", "true", "^true$"),
        "Upgrade": _text("what to upgrade to", "websocket", "^websocket$"),
        "ETag": _text("for If-Match, If-None-Match", EXAMPLE_OF_ETAG, exactly(ETAG)),
        "Location": _text("where to go on", "https://app.example.com/signed-in?code=..."),
        "Referrer-Policy": _text("what the next page is told of this one", "no-referrer"),
        "Cache-Control": _text("how long to keep it", "public, max-age=300"),
    }
    return {name: {"required": name not in _AT_TIMES, **one} for name, one in found.items()}


def _text(description: str, example: str, pattern: str | None = None) -> Json:
    checked = {"pattern": pattern} if pattern else {}
    return {
        "description": description,
        "schema": {"type": "string", **checked, "examples": [example]},
    }
