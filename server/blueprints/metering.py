"""Metering: what a user has and spends."""

from sanic import Blueprint

from server.blueprints.request import Request, amount, reply
from server.http import Reply
from server.meter import Balance

blueprint = Blueprint("metering")


@blueprint.get("/balance")
async def balance(request: Request, tenant_id: str) -> Reply:
    services, api_key = request.services, request.api_key()
    user_id = await services.users.find(api_key)
    found = await services.meter.balance(tenant_id, user_id, api_key)
    return reply(describe(user_id, found))


@blueprint.post("/charges", stream=True)
async def charge(request: Request, tenant_id: str) -> Reply:
    services, api_key = request.services, request.api_key()
    idempotency_key = request.idempotency_key()
    user_id = await services.users.find(api_key)
    body = await request.read_object("tokens")
    tokens = amount(body.get("tokens", 1), "tokens", least=1)
    charged = await services.meter.charge(tenant_id, user_id, api_key, tokens, idempotency_key)
    headers = charged.rate.headers()
    if charged.replayed:
        headers["idempotent-replayed"] = "true"
    return reply({"tokensLeft": charged.tokens_left}, headers=headers)


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
