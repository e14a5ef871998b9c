"""Errors of the providers, and ours in the shapes that their SDKs read.

Sources: OpenAI's API specification, schema Error; https://platform.claude.com/docs/en/api/errors
"""

from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

import orjson

from server.errors import Refusal
from server.providers.errors import (
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderQuota,
    ProviderRefused,
)
from server.providers.reading import parse
from server.providers.words import Words, words_of

LONGEST_RETRY_AFTER_SECONDS = 60
_OPENAI_TYPES = {
    402: "insufficient_quota",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "service_unavailable_error",
    504: "server_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}


# Types and codes of many providers for what is the tenant's fault.
_SPENT = frozenset(
    {
        *("insufficient_quota", "insufficient_balance", "insufficient_credits", "billing_error"),
        *("billing_hard_limit_reached", "billing_not_active", "exceeded_current_quota_error"),
        *("insufficient_user_quota", "insufficient_funds", "payment_required", "arrearage"),
        *("budget_exceeded", "out_of_credits", "no_credits", "account_overdue"),
    }
)
_NO_ACCESS = frozenset(
    {
        *("authentication_error", "permission_error", "invalid_api_key", "unauthenticated"),
        *("unauthorized", "permission_denied", "invalid_authentication_error"),
    }
)
_BUSY = frozenset(
    {
        *("rate_limit_error", "rate_limit_exceeded", "too_many_requests", "resource_exhausted"),
        *("rate_limit_reached_error", "ratelimiterror", "throttling", "throttlingexception"),
    }
)
_FIXED = {
    404: "The provider has no such model",
    413: "The prompt is too large for the provider",
    ProviderError.status: ProviderError.message,
}
_USERS_FAULT = (400, 404, 413, 422)


def value_of(raw: bytes) -> Any:
    """What was parsed, or a plain text; None for a page or half a JSON, which say nothing."""
    try:
        return parse(raw)
    except orjson.JSONDecodeError:
        text = raw.decode(errors="replace").strip()
        return None if text.startswith(("<", "{", "[{", '"')) else text


def of_reply(status: int, headers: Mapping[str, str], raw: bytes, *secrets: str) -> Refusal:
    """What a provider's reply other than 2xx means for the user.

    What is the tenant's fault, a wrong key or spent credit, must not look like the user's; the
    endpoint's `secrets` are not told.
    """
    words = words_of(value_of(raw.removeprefix(BOM_UTF8)), *secrets)
    refusal: Refusal
    if status == 402 or _is_spent(words):
        refusal = ProviderQuota()
    elif status in (401, 403):
        refusal = ProviderAuthError()
    elif status == 429:
        refusal = ProviderBusy()
    elif 400 <= status < 500:
        message = words.message or "The provider refused the request"
        refusal = ProviderRefused(
            status, message, words.kind, words.code or None, words.param or None
        )
    else:
        refusal = ProviderError()
    seconds = _retry_after(headers.get("retry-after"))
    if seconds is not None:
        refusal.headers["retry-after"] = str(seconds)
    return refusal


def of_failure(failure: Any, *secrets: str) -> Refusal:
    """What a failure in a reply of status 200 means: an object of any shape, or a plain text."""
    words = words_of(failure, *secrets)
    if words.number == 402 or _is_spent(words):
        return ProviderQuota()
    if words.number in (401, 403) or _is_among(_NO_ACCESS, words):
        return ProviderAuthError()
    if words.number == 429 or _is_among(_BUSY, words):
        return ProviderBusy()
    is_users = words.kind == "invalid_request_error" or words.number in _USERS_FAULT
    refused = ProviderRefused if is_users else ProviderFailed
    message, code = words.message or ProviderError.message, words.code or ProviderError.code
    return refused(ProviderError.status, message, words.kind, code, None)


def without_words(refusal: Refusal) -> Refusal:
    """The same, without what the provider says, which may quote the request."""
    if not isinstance(refusal, ProviderRefused):
        return refusal
    message = _FIXED.get(refusal.status, "The provider refused the prompt")
    code = ProviderError.code if isinstance(refusal, ProviderFailed) else "provider_refused"
    fixed = type(refusal)(refusal.status, message, "", code, None)
    fixed.headers, fixed.reason = refusal.headers, refusal.reason
    return fixed


def openai_error(refusal: Refusal) -> dict[str, Any]:
    """As OpenAI's SDKs read it, which keep `error` alone."""
    error = {
        "message": refusal.told(),
        "type": refusal.kind or _OPENAI_TYPES.get(refusal.status, "invalid_request_error"),
        "param": refusal.param,
        "code": refusal.code,
        **refusal.extra,
    }
    return {"error": error, **refusal.extra}


def anthropic_error(refusal: Refusal) -> dict[str, Any]:
    """As Anthropic's SDKs read it; `code` is ours."""
    kind = refusal.kind
    if kind == "invalid_request_error":  # OpenAI's for nearly any status
        kind = _ANTHROPIC_TYPES.get(refusal.status, kind)
    if kind not in _ANTHROPIC_TYPES.values() and kind != "overloaded_error":
        kind = _ANTHROPIC_TYPES.get(refusal.status, "api_error")
    error = {"type": kind, "message": refusal.told(), **refusal.extra}
    if refusal.code:
        error["code"] = refusal.code
    return {"type": "error", "error": error, **refusal.extra}


def _is_spent(words: Words) -> bool:
    """Most say so by type or code; Anthropic also by its message, with 400."""
    return (
        _is_among(_SPENT, words)
        or "credit_balance" in words.code
        or "credit balance is too low" in words.message
    )


def _is_among(known: frozenset[str], words: Words) -> bool:
    return words.kind.lower() in known or words.code.lower() in known


def _retry_after(value: str | None) -> int | None:
    """Whole seconds, 1 to 60; `value` is seconds or an HTTP date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return ceil(min(max(1, seconds), LONGEST_RETRY_AFTER_SECONDS))
