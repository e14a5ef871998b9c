"""The parts of the OpenAPI document: schemas with their examples, parameters, headers."""

from collections.abc import Sequence
from typing import Any

from server.amounts import LARGEST
from server.tenants.config import TenantConfig
from server.tenants.tenants import TENANT_ID

Json = dict[str, Any]

_CONFIG = {
    "auth": {},
    "user_groups": {
        "anonymous": {"tokens": 100, "rate_limit": 10, "rate_limit_window": 60},
        "stripe_basic": {"tokens": 5000, "rate_limit": 100, "rate_limit_window": 60},
    },
    "providers": {
        "text": {
            "default": "openai",
            "fallback": ["anthropic"],
            "endpoints": {
                "openai": {
                    "url": "https://api.openai.com/v1/chat/completions",
                    "default_model": "gpt-4o",
                    "api_key": "sk-abc123",
                },
                "anthropic": {
                    "url": "https://api.anthropic.com/v1/messages",
                    "default_model": "claude-3-opus-20240229",
                    "api_key": "sk-ant-abc123",
                    "weight": 3,
                },
            },
        }
    },
}
_METRICS = """\
# HELP vibe_requests_total Requests that were answered.
# TYPE vibe_requests_total counter
vibe_requests_total{route="GET /livez",status="200"} 2.0
"""


def ref(name: str, kind: str = "schemas") -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _integer(description: str, example: int, least: int, most: int, **more: Any) -> Json:
    bounds = {"type": "integer", "minimum": least, "maximum": most}
    return {**bounds, **more, "description": description, "examples": [example]}


def tokens(description: str, example: int, least: int = 0, **more: Any) -> Json:
    return _integer(description, example, least, LARGEST, **more)


def text(description: str, example: str, pattern: str = "", **more: Any) -> Json:
    checked = {"pattern": f"^{pattern}$"} if pattern else {}
    return {"type": "string", **checked, **more, "description": description, "examples": [example]}


def _time(description: str, example: str) -> Json:
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    return text(description, example, pattern, format="date-time")


def list_of(item: Json) -> Json:
    return {"type": "array", "items": item, "examples": [[example_of(item)]]}


def closed(members: Json, optional: Sequence[str] = ()) -> Json:
    """An object of these members and no others; its example is made of theirs."""
    found = {"type": "object", "properties": members, "additionalProperties": False}
    required = [name for name in members if name not in optional]
    example = {name: example_of(schema) for name, schema in members.items()}
    return {**found, **({"required": required} if required else {}), "examples": [example]}


def example_of(schema: Json) -> Any:
    return schema["const"] if "const" in schema else schema["examples"][0]


_USER_ID = text("the user", "0b1f9a52-6d3c-4e8a-9a57-2f0c6d1e8b34", "[A-Za-z0-9_-]{1,64}")
_API_KEY = text("the key", "temp_7c9e6679-7425-40de-944b-e07fc1f90ae7", "[A-Za-z0-9_-]{1,80}")
_HOLD_ID = text("the hold", "5f2b8c1d9e3a4f60b7c8d9e0f1a2b3c4", "[0-9a-f]{32}")
_TENANT_ID = text("the tenant", "abc", TENANT_ID.pattern)
_GROUP = text("a group of the tenant's config", "stripe_basic")
_LIMITS = {
    "rateLimit": _integer("requests per window", 10, 1, 10_000),
    "rateLimitWindow": _integer("seconds", 60, 1, 86_400),
}


def schemas() -> dict[str, Json]:
    """components/schemas; those of the config come from the model that checks it."""
    config = TenantConfig.model_json_schema(ref_template=ref("{model}")["$ref"])
    of_config = {**config.pop("$defs"), "TenantConfig": {**config, "examples": [_CONFIG]}}
    holder = closed({"config": {**ref("TenantConfig"), "examples": [_CONFIG]}})
    expires = _time("null: the user is permanent", "2025-03-02T12:00:00.000Z")
    by_tokens = closed({"tokens": tokens("to add", 500, least=1)})
    by_group = closed({"group": _GROUP})
    return {
        "Greeting": closed({"message": {"const": "vibe-server API is running"}}),
        "Alive": closed({"status": {"const": "ok"}}),
        "Ready": closed({"status": {"const": "ready"}}),
        "NotReady": closed({"status": {"const": "unavailable"}}),
        "Login": closed(
            {
                "apiKey": _API_KEY,
                "tokensLeft": tokens("the balance", 100),
                **_LIMITS,
                "userId": _USER_ID,
            }
        ),
        "User": closed(
            {
                "userId": _USER_ID,
                "group": text("whose limits the user has", "anonymous"),
                "tokensLeft": tokens("the balance", 95),
                "tokensHeld": tokens("set aside in open holds", 0),
                "tokensUsed": tokens("taken so far", 5),
                **_LIMITS,
                "rateRemaining": _integer("requests the window still admits", 9, 0, 10_000),
                "createdAt": _time("the first login", "2025-01-31T12:00:00.000Z"),
                "expiresAt": {**expires, "type": ["string", "null"]},
            }
        ),
        "Ledger": closed({"entries": {**list_of(_entry()), "maxItems": 200}}),
        "Charge": closed({"tokens": tokens("to take", 5, least=1, default=1)}, ["tokens"]),
        "Charged": closed({"tokensLeft": tokens("the balance", 95)}),
        "NewHold": closed(
            {
                "tokens": tokens("to hold, or what is left of them", 50, least=1),
                "minimum": tokens("refuse to hold less; default: `tokens`", 10, least=1),
                "ttl": _integer("seconds to the deadline", 60, 1, 3600, default=60),
            },
            ["minimum", "ttl"],
        ),
        "Hold": closed(
            {
                "holdId": _HOLD_ID,
                "tokens": tokens("what is held", 50, least=1),
                "tokensLeft": tokens("the balance", 50),
                "expiresAt": _time("the deadline", "2025-01-31T12:01:00.000Z"),
            }
        ),
        "Settle": closed({"tokens": tokens("the true cost; 0 releases the hold", 31)}),
        "Settled": closed(
            {"tokens": tokens("what was taken", 31), "tokensLeft": tokens("the balance", 69)}
        ),
        "Config": holder,
        "Replaced": closed({"success": {"const": True}}),
        "Grant": {
            "oneOf": [by_tokens, by_group],
            "examples": [example_of(by_tokens), example_of(by_group)],
        },
        "Granted": closed({"tokensLeft": tokens("the balance", 5000), "group": _GROUP}),
        "NewTenant": closed({"tenantId": _TENANT_ID, **holder["properties"]}),
        "Tenant": closed({"tenantId": _TENANT_ID}),
        "Tenants": closed({"tenants": list_of(_TENANT_ID)}),
        **of_config,
        "Metrics": {"type": "string", "examples": [_METRICS]},
        "Page": {"type": "string"},
        "Document": {"type": "object", "examples": [{"openapi": "3.1.0", "...": "..."}]},
    }


def _entry() -> Json:
    ops = ["grant", "group", "charge", "hold", "settle", "release", "expire", "overrun"]
    return closed(
        {
            "number": _integer("counts the user's entries from 1", 2, 1, LARGEST),
            "time": _time("of the change", "2025-01-31T12:00:01.250Z"),
            "op": {
                "enum": ops,
                "description": "what was done; `expire`: a hold went back at its deadline; "
                "`overrun`: a cost that the balance did not cover",
                "examples": ["charge"],
            },
            "tokens": _integer("the signed change of the balance", -5, -LARGEST, LARGEST),
            "tokensLeft": tokens("the balance after it", 95),
            "ref": {
                "type": "object",
                "additionalProperties": {"type": ["string", "integer", "boolean"]},
                "description": "what caused it; `estimated`: the provider reported no usage",
                "examples": [{"requestId": "3f1c0a9be2d84756a1b2c3d4"}],
            },
        }
    )


def parameters() -> dict[str, Json]:
    """components/parameters, by the name that they have in a request."""
    kept = "the first reply to a request with this key is kept for 24 hours and then repeated"
    found = {
        "path": {
            "tenantId": _TENANT_ID,
            "userId": _USER_ID,
            "apiKey": _API_KEY,
            "holdId": _HOLD_ID,
        },
        "query": {
            "limit": _integer("entries at most", 50, 1, 200, default=50),
            "before": _integer("only entries with a smaller number", 100, 1, LARGEST),
        },
        "header": {
            "Idempotency-Key": text(kept, "order-1093", r"[\x21-\x7e]{1,255}"),
            "If-Match": text("the ETag of the config to replace", f'"{"0a" * 20}"'),
            "anthropic-version": text("passed on to such endpoints, if it is a date", "2023-06-01"),
            "anthropic-beta": text("passed on to such endpoints", "context-1m-2025-08-07"),
        },
    }
    return {
        name: {"name": name, "in": place, "required": place == "path", **_described(schema)}
        for place, schemas_of_place in found.items()
        for name, schema in schemas_of_place.items()
    }


# When a first reply is repeated; when the reply is no stream.
_AT_TIMES = ("Idempotent-Replayed", "X-Tokens-Charged", "X-Tokens-Left")


def headers() -> dict[str, Json]:
    """components/headers: each reply that lists one has it, but for those of `_AT_TIMES`."""
    digits, seconds = "[0-9]+", "[1-9][0-9]*"
    found = {
        "X-Request-ID": text(
            "the request's own if that is of this pattern, else a new one",
            "3f1c0a9be2d84756a1b2c3d4",
            "[A-Za-z0-9._-]{1,64}",
        ),
        "RateLimit-Policy": text(
            "the limit: `q` requests in `w` seconds",
            '"requests";q=10;w=60',
            f'"requests";q={digits};w={digits}',
        ),
        "RateLimit": text(
            "`r` requests are left; the oldest one leaves the window in `t` seconds",
            '"requests";r=9;t=60',
            f'"requests";r={digits};t={digits}',
        ),
        "Retry-After": text("seconds, rounded up", "1", seconds),
        "X-Tokens-Charged": text("what the call cost, if it is not streamed", "12", digits),
        "X-Tokens-Left": text("the balance after the call, if it is not streamed", "88", digits),
        "X-Should-Retry": text("tells the SDKs that repeating it is of no use", "false", "false"),
        "WWW-Authenticate": text("the scheme to use", "Bearer", "Bearer"),
        "Idempotent-Replayed": text("only when a first reply is repeated", "true", "true"),
        "ETag": text("of the config, for If-Match", f'"{"0a" * 20}"', '"[0-9a-f]{40}"'),
        "Cache-Control": text("how long to keep it", "public, max-age=300"),
    }
    return {
        name: {"required": name not in _AT_TIMES, **_described(schema)}
        for name, schema in found.items()
    }


def _described(schema: Json) -> Json:
    """A parameter or a header: the description stands beside the schema, not in it."""
    rest = {name: value for name, value in schema.items() if name != "description"}
    return {"description": schema["description"], "schema": rest}
