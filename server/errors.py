"""Every refusal, with its status and message; server/app.py turns one into a reply.

Refusal
├── BadRequest            400  the form of the request
│   ├── InvalidJson       400
│   ├── Unsupported       400  a provider call with a member that cannot be served, named
│   └── InvalidTenant     400
├── InvalidApiKey         401
├── InvalidAdminToken     401
├── PaymentRequired       402  the balance does not cover it
├── NotFound              404
│   └── UnknownHold       404
├── MethodNotAllowed      405
├── RequestTimeout        408
├── TenantExists          409
├── PreconditionFailed    412
├── PayloadTooLarge       413
├── Invalid               422  well-formed but wrong, every fault listed
├── KeyReused             422
├── TooManyRequests       429
└── Unavailable           503  Redis cannot answer; whether it acted is unknown
    └── NotSent           503  as above, and it was never asked
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar, TypedDict


class Detail(TypedDict):
    """One fault of a body: `path` as in `user_groups.anonymous.tokens`, '' for the whole."""

    path: str
    message: str


class Refusal(Exception):
    """A request that is refused: `status`, body `{"error": message, **extra}`, `headers`."""

    status: ClassVar[int] = 400
    message: str = "Bad Request"

    def __init__(
        self,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.message)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class BadRequest(Refusal):
    pass


class InvalidJson(BadRequest):
    message = "Invalid JSON"


class Unsupported(BadRequest):
    """`param` is the member's path, as in `messages.0.content`, as far as it is known."""

    def __init__(self, param: str, message: str) -> None:
        self.param = param
        self.message = message
        super().__init__()


class InvalidTenant(BadRequest):
    message = "Invalid tenant ID"


class InvalidApiKey(Refusal):
    status = 401
    message = "Invalid API key"

    def __init__(self) -> None:
        super().__init__(headers={"www-authenticate": "Bearer"})


class InvalidAdminToken(InvalidApiKey):
    message = "Invalid admin token"


class PaymentRequired(Refusal):
    status = 402
    message = "Payment Required"

    def __init__(self, tokens_left: int, headers: Mapping[str, str]) -> None:
        super().__init__({"tokensLeft": tokens_left}, headers)


class NotFound(Refusal):
    status = 404
    message = "Not Found"


class UnknownHold(NotFound):
    message = "Unknown hold"


class MethodNotAllowed(Refusal):
    status = 405
    message = "Method Not Allowed"


class RequestTimeout(Refusal):
    status = 408
    message = "Request Timeout"


class TenantExists(Refusal):
    status = 409
    message = "Tenant exists"


class PreconditionFailed(Refusal):
    status = 412
    message = "Precondition Failed"


class PayloadTooLarge(Refusal):
    status = 413
    message = "Payload Too Large"


class Invalid(Refusal):
    status = 422

    def __init__(self, message: str, details: list[Detail]) -> None:
        self.message = message
        super().__init__({"details": details})


class KeyReused(Refusal):
    status = 422
    message = "Idempotency-Key reused with another request"


class TooManyRequests(Refusal):
    status = 429
    message = "Too Many Requests"

    def __init__(self, retry_after_ms: int, headers: Mapping[str, str] | None = None) -> None:
        retry_after = str(max(1, ceil(retry_after_ms / 1000)))
        super().__init__(headers={**(headers or {}), "retry-after": retry_after})


class Unavailable(Refusal):
    status = 503
    message = "Service Unavailable"

    def __init__(self, reason: str = "") -> None:
        super().__init__(headers={"retry-after": "1"})
        self.reason = reason


class NotSent(Unavailable):
    pass
