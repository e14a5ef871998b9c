"""Metering: what a user has and spends."""

import re

from sanic import Blueprint

from server import metrics
from server.amounts import LARGEST
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import Request, amount, integer, refuse, reply
from server.errors import UnknownHold
from server.http import Reply
from server.metering.results import Balance, Entry, iso_time

blueprint = Blueprint("metering")

LONGEST_HOLD_SECONDS = 3600
MOST_ENTRIES = 200

_HOLD_ID = re.compile(r"[0-9a-f]{32}")


@blueprint.get("/balance")
async def balance(request: Request, tenant_id: str) -> Reply:
    who = await request.who()
    found = await request.services.accounts.balance(who)
    return reply(describe(who.user_id, found))


@blueprint.get("/ledger")
async def ledger(request: Request, tenant_id: str) -> Reply:
    who = await request.who()
    limit = integer(request.args.get("limit", "50"), "limit", 1, MOST_ENTRIES)
    before = integer(request.args.get("before", str(LARGEST)), "before", 1, LARGEST)
    entries = await request.services.accounts.ledger(who, limit, before)
    return reply({"entries": [_describe_entry(entry) for entry in entries]})


@blueprint.post("/charges", stream=True)
@counts_refusals(metrics.charge_answered)
async def charge(request: Request, tenant_id: str) -> Reply:
    who = await request.who()
    idempotency_key = request.idempotency_key()
    body = await request.read_object("tokens")
    tokens = amount(body.get("tokens", 1), "tokens", least=1)
    charged = await request.services.meter.charge(who, tokens, request.ref, idempotency_key)
    headers = charged.rate.headers()
    if charged.replayed:
        headers["idempotent-replayed"] = "true"
        metrics.charge_answered(tenant_id, "replayed")
    else:
        metrics.charge_answered(tenant_id, "charged", tokens)
    return reply({"tokensLeft": charged.tokens_left}, headers=headers)


@blueprint.post("/holds", stream=True)
@counts_refusals(metrics.hold_answered)
async def hold(request: Request, tenant_id: str) -> Reply:
    who = await request.who()
    idempotency_key = request.idempotency_key()
    body = await request.read_object("tokens", "minimum", "ttl")
    tokens = amount(body.get("tokens"), "tokens", least=1)
    minimum = amount(body.get("minimum", tokens), "minimum", least=1)
    if minimum > tokens:
        refuse({"path": "minimum", "message": "must not exceed tokens"})
    ttl = body.get("ttl", 60)
    if type(ttl) is not int or not 1 <= ttl <= LONGEST_HOLD_SECONDS:
        message = f"must be an integer from 1 to {LONGEST_HOLD_SECONDS} (seconds)"
        refuse({"path": "ttl", "message": message})
    held = await request.services.meter.hold(
        who, tokens, minimum, ttl * 1000, "api", request.ref, idempotency_key
    )
    headers = held.rate.headers()
    if held.replayed:
        headers["idempotent-replayed"] = "true"
    metrics.hold_answered(tenant_id, "replayed" if held.replayed else "held")
    body = {
        "holdId": held.hold_id,
        "tokens": held.tokens,
        "tokensLeft": held.tokens_left,
        "expiresAt": iso_time(held.deadline_ms),
    }
    return reply(body, 201, headers)


@blueprint.post("/holds/<hold_id>/settle", stream=True)
@counts_refusals(metrics.settle_answered)
async def settle(request: Request, tenant_id: str, hold_id: str) -> Reply:
    who = await request.who()
    if not _HOLD_ID.fullmatch(hold_id):
        raise UnknownHold
    body = await request.read_object("tokens")
    tokens = amount(body.get("tokens"), "tokens", least=0)
    settled = await request.services.meter.settle(who, hold_id, tokens, "api", request.ref)
    if settled.replayed:
        metrics.settle_answered(tenant_id, "replayed")
    else:
        metrics.settle_answered(tenant_id, "settled", settled.tokens)
        if tokens > settled.tokens:
            metrics.overrun(tenant_id, tokens - settled.tokens)
    return reply({"tokens": settled.tokens, "tokensLeft": settled.tokens_left})


def describe(user_id: str, balance: Balance) -> dict[str, str | int | None]:
    """A user, as its own `balance` and an administrator see it."""
    return {
        "userId": user_id,
        "group": balance.group,
        "tokensLeft": balance.tokens_left,
        "tokensHeld": balance.tokens_held,
        "tokensUsed": balance.tokens_used,
        "rateLimit": balance.rate_limit,
        "rateLimitWindow": balance.rate_limit_window,
        "rateRemaining": balance.rate_remaining,
        "createdAt": balance.created_at,
        "expiresAt": balance.expires_at,
    }


def _describe_entry(entry: Entry) -> dict[str, object]:
    return {
        "number": entry.number,
        "time": iso_time(entry.time_ms),
        "op": entry.op,
        "tokens": entry.tokens,
        "tokensLeft": entry.tokens_left,
        "ref": entry.ref,
    }
