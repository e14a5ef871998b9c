"""The documented routes but the gateway's. A new route is a Route here; the schemas of its bodies
go to parts.py; what follows from path, credential and body, document.py adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from server.errors import (
    Invalid,
    InvalidTenant,
    KeyReused,
    NotFound,
    PaymentRequired,
    PreconditionFailed,
    Refusal,
    TenantExists,
    TooManyRequests,
    Unavailable,
    UnknownHold,
)
from server.providers.wire import Name

RATE = ("RateLimit-Policy", "RateLimit")


@dataclass(frozen=True, slots=True)
class Reply:
    """`schema` is a name in components/schemas; without one there is no body."""

    when: str
    schema: str = ""
    status: int = 200
    headers: Sequence[str] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """`endpoint` is method and path, `name` the operationId, `body` a name in components/schemas,
    `parameters` those beside the path's; `rated`: replies carry the user's rate limit; `speaks`:
    the protocol whose SDKs read its errors.
    """

    endpoint: str
    name: str
    summary: str
    replies: Sequence[Reply]
    about: str = ""
    credential: Literal["user", "admin"] | None = None
    parameters: Sequence[str] = ()
    body: str = ""
    body_required: bool = True
    refusals: Sequence[type[Refusal]] = ()
    rated: bool = False
    speaks: Name | None = None


def server() -> list[Route]:
    not_ready = "Redis does not answer in time, or the server is about to stop"
    cached = ["Cache-Control"]
    return [
        Route("GET /", "greet", "A greeting", [Reply("always", "Greeting")]),
        Route(
            "GET /livez",
            "checkLive",
            "Does the process answer?",
            [Reply("it does", "Alive")],
            about="Touches nothing, Redis neither.",
        ),
        Route(
            "GET /readyz",
            "checkReady",
            "Can it serve?",
            [
                Reply("Redis answers", "Ready"),
                Reply(not_ready, "NotReady", status=503, headers=["Retry-After"]),
            ],
        ),
        Route(
            "GET /metrics",
            "readMetrics",
            "What the server counts and measures, for Prometheus",
            [Reply("the metrics of all workers", "Metrics", media_type="text/plain")],
            about="With `METRICS_PORT` they are on that port, without a token, and not here.",
            credential="admin",
        ),
        Route(
            "GET /docs",
            "readPage",
            "This documentation, to read",
            [Reply("the page", "Page", headers=cached, media_type="text/html")],
        ),
        Route(
            "GET /docs/openapi.json",
            "readDocument",
            "This documentation, for programs",
            [Reply("the OpenAPI 3.1 document", "Document", headers=cached)],
        ),
    ]


def login() -> list[Route]:
    return [
        Route(
            "POST /{tenantId}/auth/anonymous",
            "logIn",
            "Make a user, with an API key",
            [Reply("the new user", "Login")],
            about="Needs no body. The balance and limits are those of the tenant's group "
            "`anonymous`. Logins are limited per tenant and client address.",
            refusals=[TooManyRequests],
        )
    ]


def metering() -> list[Route]:
    replayable = (*RATE, "Idempotent-Replayed")
    return [
        Route(
            "GET /{tenantId}/balance",
            "readBalance",
            "What the user has",
            [Reply("the user", "User")],
            about="Not rate limited, and answers at a balance of 0 too.",
            credential="user",
        ),
        Route(
            "GET /{tenantId}/ledger",
            "readLedger",
            "The changes of the balance, newest first",
            [Reply("the entries", "Ledger")],
            about="To read on, give the last entry's number as `before`.",
            credential="user",
            parameters=["limit", "before"],
            refusals=[Invalid],
        ),
        Route(
            "POST /{tenantId}/charges",
            "charge",
            "Take tokens, when the cost is known",
            [Reply("they are taken", "Charged", headers=replayable)],
            about="All or nothing. Without a body: 1 token.",
            credential="user",
            parameters=["Idempotency-Key"],
            body="Charge",
            body_required=False,
            refusals=[PaymentRequired, KeyReused, TooManyRequests],
            rated=True,
        ),
        Route(
            "POST /{tenantId}/holds",
            "hold",
            "Set tokens aside, before a call whose cost is not known yet",
            [Reply("they are held", "Hold", status=201, headers=replayable)],
            about="A hold that is not settled goes back at its deadline. More than 50 open: 429.",
            credential="user",
            parameters=["Idempotency-Key"],
            body="NewHold",
            refusals=[PaymentRequired, KeyReused, TooManyRequests],
            rated=True,
        ),
        Route(
            "POST /{tenantId}/holds/{holdId}/settle",
            "settle",
            "Replace a hold by the true cost",
            [Reply("it is settled", "Settled")],
            about="The rest goes back; what exceeds the hold is taken from the balance. Settled "
            "again within an hour, with whatever amount: the first reply.",
            credential="user",
            body="Settle",
            refusals=[UnknownHold],
        ),
    ]


def administration() -> list[Route]:
    return [
        Route(
            "GET /{tenantId}/admin/config",
            "readConfig",
            "A tenant's config, as stored",
            [Reply("the config", "Config", headers=["ETag"])],
            credential="admin",
        ),
        Route(
            "PUT /{tenantId}/admin/config",
            "replaceConfig",
            "Replace a tenant's config",
            [Reply("it is replaced", "Replaced")],
            about="In full, at most 64 KiB; in force for the next request on every worker.",
            credential="admin",
            parameters=["If-Match"],
            body="Config",
            refusals=[PreconditionFailed],
        ),
        Route(
            "GET /{tenantId}/admin/users/{userId}",
            "readUser",
            "What a user has",
            [Reply("the user", "User")],
            credential="admin",
            refusals=[NotFound],
        ),
        Route(
            "POST /{tenantId}/admin/users/{userId}/grants",
            "grant",
            "Add tokens, or move a user to another group",
            [Reply("it is granted", "Granted", headers=["Idempotent-Replayed"])],
            about="A group replaces the limits, and sets the balance to the group's tokens less "
            "what is held. The balance, and all that was ever granted, is at most 10^13.",
            credential="admin",
            parameters=["Idempotency-Key"],
            body="Grant",
            refusals=[NotFound, KeyReused],
        ),
        Route(
            "DELETE /{tenantId}/admin/keys/{apiKey}",
            "revokeKey",
            "Revoke an API key",
            [Reply("it is revoked, effective at once", status=204)],
            credential="admin",
            refusals=[NotFound],
        ),
        Route(
            "GET /tenants",
            "listTenants",
            "The IDs of all tenants",
            [Reply("the IDs", "Tenants")],
            credential="admin",
            refusals=[Unavailable],
        ),
        Route(
            "POST /tenants",
            "createTenant",
            "Make a tenant",
            [Reply("it is made", "Tenant", status=201)],
            about="Not as IDs: `tenants`, `docs`, `livez`, `readyz`, `metrics`.",
            credential="admin",
            body="NewTenant",
            refusals=[TenantExists, Unavailable],
        ),
        Route(
            "DELETE /tenants/{tenantId}",
            "deleteTenant",
            "Delete a tenant",
            [Reply("it is deleted", status=204)],
            about="Its users' keys stop working at once; its ID is not given out again.",
            credential="admin",
            refusals=[InvalidTenant, Unavailable],
        ),
    ]
