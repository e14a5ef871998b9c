"""Errors of the providers, and ours in the shapes that their SDKs read.

Sources: OpenAI's API specification, schema Error; https://platform.claude.com/docs/en/api/errors
"""

import re
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
from server.providers.reading import an_object, objects, string

LONGEST_RETRY_AFTER_SECONDS = 60
_LONGEST_MESSAGE = 2_000
_LONGEST_TEXT = 65_536
"""Of which secrets are taken out; then it is cut to what is passed on."""
# Accounts of the tenant that providers name in their messages, and what looks like a key.
_OF_THE_TENANT = re.compile(r"\b(?:org|proj|sk|acct|wrkspc)[-_][A-Za-z0-9*_.-]{4,}")

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


def of_reply(status: int, headers: Mapping[str, str], raw: bytes, api_key: str) -> Refusal:
    """What a provider's reply other than 200 means for the user.

    What is the tenant's fault, a wrong key or spent credit, must not look like the user's.
    """
    error = _error_object(raw, api_key)
    message, kind, code = _said(error), _text(error, "type"), _text(error, "code")
    refusal: Refusal
    if status in (401, 403):
        refusal = ProviderAuthError()
    elif status == 402 or _is_quota(kind, code, message):
        refusal = ProviderQuota()
    elif status == 429:
        refusal = ProviderBusy()
    elif 400 <= status < 500:
        message = message or "The provider refused the request"
        param = _text(error, "param") or None
        refusal = ProviderRefused(status, message, kind, code or None, param)
    else:
        refusal = ProviderError()
    seconds = _retry_after(headers.get("retry-after"))
    if seconds is not None:
        refusal.headers["retry-after"] = str(seconds)
    return refusal


def of_error_event(event: dict[str, Any], api_key: str) -> Refusal:
    """A stream's error, in the shape of either protocol."""
    error = event["error"] if isinstance(event["error"], dict) else {"message": event["error"]}
    error = _without_secrets(error, api_key)
    kind, code, message = _text(error, "type"), _text(error, "code"), _said(error)
    if _is_quota(kind, code, message):
        return ProviderQuota()
    if kind == "rate_limit_error":
        return ProviderBusy()
    status, default = ProviderError.status, ProviderError.message
    refused = ProviderRefused if kind == "invalid_request_error" else ProviderFailed
    return refused(status, message or default, kind, code or ProviderError.code, None)


def openai_error(refusal: Refusal) -> dict[str, Any]:
    """As OpenAI's SDKs read it, which keep `error` alone."""
    kind = getattr(refusal, "kind", "")
    error = {
        "message": refusal.told(),
        "type": kind or _OPENAI_TYPES.get(refusal.status, "invalid_request_error"),
        "param": refusal.param,
        "code": refusal.code,
        **refusal.extra,
    }
    return {"error": error, **refusal.extra}


def anthropic_error(refusal: Refusal) -> dict[str, Any]:
    """As Anthropic's SDKs read it; `code` is ours."""
    kind = getattr(refusal, "kind", "")
    if kind == "invalid_request_error":  # OpenAI's for nearly any status
        kind = _ANTHROPIC_TYPES.get(refusal.status, kind)
    if kind not in _ANTHROPIC_TYPES.values() and kind != "overloaded_error":
        kind = _ANTHROPIC_TYPES.get(refusal.status, "api_error")
    error = {"type": kind, "message": refusal.told(), **refusal.extra}
    if refusal.code:
        error["code"] = refusal.code
    return {"type": "error", "error": error, **refusal.extra}


def _error_object(raw: bytes, api_key: str) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    error = an_object(body).get("error")
    if isinstance(error, str):
        error = {"message": error}
    details = objects(an_object(body).get("detail"))
    if error is None and details and isinstance(details[0].get("loc"), list):  # FastAPI's
        error = {"param": ".".join(str(step) for step in details[0]["loc"])}
    return _without_secrets(an_object(error), api_key)


def _without_secrets(error: dict[str, Any], api_key: str) -> dict[str, Any]:
    """Its texts without what is the tenant's own."""
    found = {}
    for name in ("message", "type", "code", "param"):
        text = string(error.get(name))[:_LONGEST_TEXT]
        if api_key:
            text = text.replace(api_key, "***")
        found[name] = _OF_THE_TENANT.sub("***", text)
    return found


def _text(error: dict[str, Any], name: str) -> str:
    return string(error.get(name))[:200]


def _said(error: dict[str, Any]) -> str:
    return string(error.get("message"))[:_LONGEST_MESSAGE]


def _is_quota(kind: str, code: str, message: str) -> bool:
    """OpenAI says so by type or code, with 429; Anthropic by type, or by message with 400."""
    return (
        "insufficient_quota" in (kind, code)
        or "credit_balance" in code
        or kind == "billing_error"
        or "credit balance is too low" in message
    )


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
