"""Around requests to `/v1/...`: the key, faults, Idempotency-Keys, errors as Stripe has them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.doubles.stripe_api.account import Account, Fault, Kept
from tests.doubles.stripe_api.form import parse
from tests.doubles.stripe_api.world import Object, Refused

ACCOUNTS = web.AppKey("accounts", dict[str, Account])
Answer = Callable[[Account, dict[str, Any], web.Request], Object]
_UNASKED = {"type": "api_error", "message": "An unknown error occurred"}
_TOO_MANY = {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests"}


def guarded(answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that answers what `answer` does."""

    async def handle(request: web.Request) -> web.StreamResponse:
        account = _account(request)
        if account is None:
            body = {"type": "invalid_request_error", "message": "Invalid API Key provided"}
            return web.json_response({"error": body}, status=401)
        text = await request.text()
        pairs = request.query.items() if request.method != "POST" else _pairs(text)
        wanted = parse(pairs)
        account.asked.append(
            {
                "method": request.method,
                "path": request.path,
                "params": wanted,
                "headers": {name.lower(): value for name, value in request.headers.items()},
            }
        )
        fault = account.fault_of(f"{request.method} {request.path}")
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.status:
                error = _TOO_MANY if fault.status == 429 else _UNASKED
                return web.json_response({"error": error}, status=fault.status)
        return _reply(request, fault, *_answered_once(account, answer, wanted, request))

    return handle


def _account(request: web.Request) -> Account | None:
    _, _, api_key = request.headers.get("authorization", "").partition(" ")
    return request.app[ACCOUNTS].get(api_key)


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _answered_once(
    account: Account, answer: Answer, wanted: dict[str, Any], request: web.Request
) -> tuple[int, Object, bool]:
    """Status, body, and whether it is a replay."""
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    asked = request.path, wanted
    kept = account.kept.get(key) if key else None
    if kept is not None and kept.asked != asked:
        message = "Keys for idempotent requests can only be used with the same parameters"
        return 400, Refused(400, message, "idempotency_error").body, False
    if kept is not None:
        return kept.status, kept.body, True
    paths = wanted.pop("expand", [])
    try:
        status, body = 200, account.world.expanded(answer(account, wanted, request), paths)
    except Refused as refusal:
        status, body = refusal.status, refusal.body
    if key:
        account.kept[key] = Kept(asked, status, body)
    return status, body, False


def _reply(
    request: web.Request, fault: Fault | None, status: int, body: Object, replayed: bool
) -> web.StreamResponse:
    if fault is not None and fault.lose and request.transport is not None:
        request.transport.abort()
    headers = {"Request-Id": f"req_{len(request.path)}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.json_response(body, status=status, headers=headers)
