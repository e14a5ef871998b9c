"""What a session begins with, and why it ends."""

from typing import Any, NamedTuple

from server.tenants.config import TenantConfig
from server.tenants.realtime import RealtimeEndpoint
from server.who import Ref, Who

Event = dict[str, Any]
"""A message of either side, once it is parsed."""


class Opening(NamedTuple):
    """What is known when both sockets are open. `name` is the endpoint's, `model` as that knows it;
    `ref` what the ledger says of each part of the session;
    `created` the upstream's first event, `session.created`; `session` what a client secret says of
    the session, {} for none."""

    who: Who
    config: TenantConfig
    name: str
    endpoint: RealtimeEndpoint
    model: str
    ref: Ref
    created: Event
    session: Event


class Cause(NamedTuple):
    """Why a session ends: its outcome in the metrics, the close frame, and what the `error` event
    before it says: type, code, message; None where there is none."""

    outcome: str
    code: int
    reason: str
    error: tuple[str, str, str] | None


CLIENT = Cause("client", 1000, "", None)
EXPIRED = Cause(
    "expired",
    1001,
    "session_expired",
    ("invalid_request_error", "session_expired", "The session has lasted as long as it may"),
)
SHUTDOWN = Cause(
    "shutdown",
    1001,
    "server is going away",
    ("server_error", "server_shutdown", "The server is going away; connect again"),
)
NO_EVENTS = Cause(
    "policy",
    1008,
    "not a JSON object",
    (
        "invalid_request_error",
        "invalid_event",
        "Several messages were no JSON objects",
    ),
)
PROVIDER = Cause(
    "provider",
    1011,
    "provider_error",
    ("server_error", "provider_error", "The provider has ended the session"),
)
UNAVAILABLE = Cause(
    "unavailable",
    1013,
    "service_unavailable",
    ("service_unavailable_error", "service_unavailable", "Service Unavailable"),
)
REVOKED = Cause(
    "policy",
    4401,
    "invalid_request_error.invalid_api_key",
    ("invalid_request_error", "invalid_api_key", "Invalid API key"),
)
BALANCE = Cause(
    "balance",
    4402,
    "insufficient_quota.insufficient_quota",
    ("insufficient_quota", "insufficient_quota", "Payment Required"),
)


class Ending(NamedTuple):
    """How a session ended; `tokens` were taken for all of it, as far as that is settled."""

    cause: Cause
    seconds: float
    tokens: int
