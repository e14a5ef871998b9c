"""Events of our own, in the words of OpenAI's Realtime API."""

from random import getrandbits
from typing import Any

import orjson

from server.errors import Refusal
from server.metering.errors import PaymentRequired
from server.providers.errors import ProviderRefused
from server.providers.refusals import of_failure, openai_error
from server.providers.words import words_of
from server.voice.opening import Cause, Event

LONGEST_ID = 100
"""Characters of an ID of the provider's, in the ledger."""


def new_id() -> str:
    return f"event_{getrandbits(96):024x}"


def text_of(event: Event) -> bytes:
    """Raises orjson.JSONEncodeError: it reads deeper nesting than it writes."""
    return orjson.dumps(event)


def refused(refusal: Refusal, event_id: str | None) -> Event:
    """To the client; `event_id`: of the event that is refused, where the client gave it one."""
    error = openai_error(refusal)["error"]
    if isinstance(refusal, PaymentRequired):
        error["message"] = refusal.message
    return _error(error, event_id)


def ended(cause: Cause) -> Event | None:
    if cause.error is None:
        return None
    kind, code, message = cause.error
    return _error({"type": kind, "code": code, "message": message, "param": None}, None)


def _error(error: Event, event_id: str | None) -> Event:
    return {"type": "error", "event_id": new_id(), "error": {**error, "event_id": event_id}}


def balance(used: int, left: int) -> Event:
    """A typed event of OpenAI's, in which apps see what is left: `used` is what the session has
    cost until now."""
    limits = {"name": "tokens", "limit": left + used, "remaining": left, "reset_seconds": 0}
    return {"type": "rate_limits.updated", "event_id": new_id(), "rate_limits": [limits]}


def without_secrets(error: Any, api_key: str) -> Event:
    """What a provider says of a failure; what is the tenant's fault must not look like the
    user's."""
    refusal = of_failure(error, api_key)
    said: Event = openai_error(refusal)["error"]
    if isinstance(refusal, ProviderRefused):
        said["param"] = words_of(error, api_key).param or None
    return said


def name_of(value: Any) -> str:
    """An ID, '' for what is none."""
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else ""
