"""Refusals: their labels, statuses and messages; server/blueprints/refusal.py replies with them.

Refusal
├── BadRequest            400  the form of the request
│   ├── InvalidJson       400
│   ├── TooComplex        400  JSON that would take too much time or memory
│   ├── Unsupported       400  a provider call with a member that cannot be served, named
│   └── InvalidTenant     400
├── InvalidApiKey         401
├── InvalidAdminToken     401
├── OriginNotAllowed      403  the tenant's logins, or a restricted key, are not for this page
├── NotFound              404
│   ├── UnknownHold       404
│   └── NoModel           404  no endpoint offers the model
├── MethodNotAllowed      405
├── RequestTimeout        408
├── TenantExists          409
├── PreconditionFailed    412
├── PayloadTooLarge       413
├── Invalid               422  well-formed but wrong, the first faults listed
├── KeyReused             422
├── UpgradeRequired       426  a WebSocket's route, and no handshake
├── TooManyRequests       429
│   ├── TooManyWrongTokens 429  of the administration, by a client
│   ├── TooManyFaults     429  too many requests that were refused
│   └── TenantLimited     429  a limit of the tenant's, for all its users together
├── ServiceUnavailable    503  not now, but soon
│   ├── Unavailable       503  Redis cannot answer; whether it acted is unknown
│   │   └── NotSent       503  as above, and it was never asked
│   ├── Unreadable        503  what Redis has is not what we store; nothing was done
│   ├── Overloaded        503  too many calls or large requests at a time, of all or of one
│   └── RedisNearlyFull   503  no logins, so that Redis has memory for all else
├── of those who may not, or not now: server/metering/errors.py
├── of logins and restricted keys: server/identity/errors.py
├── of sign-ins: server/login_providers/errors.py
├── of billing: server/billing/errors.py
└── those of providers: server/providers/errors.py
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, TypedDict

MOST_DETAILS = 20
LONGEST_PATH = 200
LONGEST_MESSAGE = 500


class Detail(TypedDict):
    """One fault of a body: `path` as in `user_groups.anonymous.tokens`, '' for the whole."""

    path: str
    message: str


class Refusal(Exception):
    """A request that is refused: `status`, body `{"error": message, **extra}`, `headers`.

    In the errors of the providers' SDKs `code` says what it is, and `param` which member is at
    fault.
    """

    label: str = ""
    """Its outcome in the metrics: alerts and dashboards know it, whatever the class is called."""
    status: int = 400
    message: str = "Bad Request"
    code: str | None = None
    param: str | None = None
    is_native: bool = False
    """Has this body on the providers' routes too, instead of one in the shape of their SDKs."""
    is_final: bool = False
    """The providers' SDKs are told not to repeat the request, which some do at any status."""
    kind: str = ""  # the error's type in the words of a provider; by default that of its status
    reason: str = ""
    """For the log alone."""

    def __init__(
        self,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.message)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def told(self) -> str:
        """The message in the errors of the providers' SDKs, whose users see nothing else."""
        wait = self.headers.get("retry-after") if self.status == 429 else None
        return f"{self.message}; try again in {int(wait):,} s" if wait else self.message


class BadRequest(Refusal):
    label = "bad_request"
    is_native = True


class InvalidJson(BadRequest):
    label = "invalid_json"
    message = "Invalid JSON"


class TooComplex(BadRequest):
    """More values, or deeper nesting, than a body of this route may have."""

    label = "too_complex"
    message = "Too many values, or nested too deeply"
    is_native = False


class Unsupported(BadRequest):
    """`param` is the member's path, as in `messages.0.content`, as far as it is known."""

    label = "unsupported"
    is_native = False

    def __init__(self, param: str, message: str) -> None:
        self.param = param
        self.message = message
        super().__init__()


class InvalidTenant(BadRequest):
    label = "invalid_tenant"
    message = "Invalid tenant ID"


class InvalidApiKey(Refusal):
    label = "invalid_api_key"
    status = 401
    code = "invalid_api_key"
    message = "Invalid API key"
    is_final = True

    def __init__(self) -> None:
        super().__init__(headers={"www-authenticate": "Bearer"})


class InvalidAdminToken(InvalidApiKey):
    label = "invalid_admin_token"
    message = "Invalid admin token"


class OriginNotAllowed(Refusal):
    label = "origin_not_allowed"
    status = 403
    message = "Origin not allowed"
    is_final = True


class NotFound(Refusal):
    label = "not_found"
    is_native = True
    status = 404
    message = "Not Found"
    is_final = True


class UnknownHold(NotFound):
    label = "unknown_hold"
    message = "Unknown hold"


class NoModel(NotFound):
    label = "no_model"
    is_native = False
    code = "model_not_found"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__()


class MethodNotAllowed(Refusal):
    label = "method_not_allowed"
    is_native = True
    status = 405
    message = "Method Not Allowed"
    is_final = True


class RequestTimeout(Refusal):
    label = "request_timeout"
    is_native = True
    status = 408
    message = "Request Timeout"


class TenantExists(Refusal):
    label = "tenant_exists"
    status = 409
    message = "Tenant exists"


class PreconditionFailed(Refusal):
    label = "precondition_failed"
    status = 412
    message = "Precondition Failed"


class PayloadTooLarge(Refusal):
    label = "payload_too_large"
    is_native = True
    status = 413
    message = "Payload Too Large"


class Invalid(Refusal):
    """The first MOST_DETAILS of `details` are named, and how many `more` there are: a reply must
    not be larger than what made it."""

    label = "invalid"
    status = 422

    def __init__(self, message: str, details: list[Detail]) -> None:
        self.message = message
        self.details = details
        named = [
            Detail(path=fault["path"][:LONGEST_PATH], message=fault["message"][:LONGEST_MESSAGE])
            for fault in details[:MOST_DETAILS]
        ]
        more = {"more": len(details) - MOST_DETAILS} if len(details) > MOST_DETAILS else {}
        super().__init__({"details": named, **more})


class KeyReused(Refusal):
    label = "key_reused"
    status = 422
    message = "Idempotency-Key reused with another request"


class UpgradeRequired(Refusal):
    label = "upgrade_required"
    is_native = True
    status = 426
    message = "Upgrade Required"
    is_final = True


class TooManyRequests(Refusal):
    """Final where that lasts for long: some of the providers' SDKs wait as long as they are told,
    be it a day, and others for a minute at most, and then would ask again at once."""

    label = "too_many_requests"
    status = 429
    message = "Too Many Requests"
    code = "rate_limit_exceeded"

    def __init__(self, retry_after_ms: float, headers: Mapping[str, str] | None = None) -> None:
        seconds = max(1, ceil(retry_after_ms / 1000))
        super().__init__(headers={**(headers or {}), "retry-after": str(seconds)})
        self.is_final = seconds > 60


class TooManyWrongTokens(TooManyRequests):
    label = "too_many_wrong_tokens"


class TooManyFaults(TooManyRequests):
    label = "too_many_faults"


class TenantLimited(TooManyRequests):
    """A limit of the tenant's, which all its users share."""

    label = "tenant_limited"
    message = "Tenant limit reached"


class ServiceUnavailable(Refusal):
    """Not raised itself: it is one answer, but only Unavailable leaves open what has happened."""

    status = 503
    message = "Service Unavailable"
    code = "service_unavailable"

    def __init__(self, reason: str = "") -> None:
        super().__init__(headers={"retry-after": "1"})
        self.reason = reason


class Unavailable(ServiceUnavailable):
    label = "unavailable"


class NotSent(Unavailable):
    label = "not_sent"


class Unreadable(ServiceUnavailable):
    """Another program's value, or one of a wrong type: for whom it is, until it is mended."""

    label = "unreadable"


class Overloaded(ServiceUnavailable):
    label = "overloaded"


class RedisNearlyFull(ServiceUnavailable):
    label = "redis_nearly_full"
