"""What Apple tells of accounts that have signed in here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from server.login_providers.claims import check_subject
from server.login_providers.errors import InvalidIdToken

EventKind = Literal["consent-revoked", "account-deleted", "email-enabled", "email-disabled"]

# Apple's documents and its messages differ.
_KINDS: dict[Any, EventKind] = {
    "consent-revoked": "consent-revoked",
    "account-delete": "account-deleted",
    "account-deleted": "account-deleted",
    "email-enabled": "email-enabled",
    "email-disabled": "email-disabled",
}
_SECONDS_BELOW = 10**11
"""Times above that are milliseconds: seconds would be in the year 5138."""


@dataclass(frozen=True, slots=True)
class AppleEvent:
    kind: EventKind
    subject: str
    at_ms: int


def event_of(claims: Mapping[str, Any]) -> AppleEvent | None:
    """None for a kind that we do not know. Raises InvalidIdToken."""
    event = claims.get("events")
    if isinstance(event, str):
        try:
            event = orjson.loads(event)
        except orjson.JSONDecodeError:
            event = None
    if not isinstance(event, dict):
        raise InvalidIdToken("malformed")
    check_subject(event)
    at = event.get("event_time", claims["iat"])
    if type(at) not in (int, float) or not isinstance(event.get("type"), str):
        raise InvalidIdToken("malformed")
    kind = _KINDS.get(event["type"])
    at_ms = int(at * 1000 if at < _SECONDS_BELOW else at)
    return AppleEvent(kind, event["sub"], at_ms) if kind else None
