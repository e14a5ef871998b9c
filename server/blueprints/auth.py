"""Logging in; keys are checked elsewhere: in Request.who, and by read_user in the scripts."""

import re
from typing import Annotated, Any, NotRequired

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server import metrics
from server.amounts import Tokens
from server.blueprints import cors
from server.blueprints.body import SMALL_BYTES
from server.blueprints.client_address import client_network
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import Request, refuse, reply
from server.errors import OriginNotAllowed, Overloaded, RedisNearlyFull, TooManyRequests
from server.identity.errors import ChallengeFailed, ChallengeUnavailable, LoginNotConfigured
from server.identity.logins import Ceilings
from server.metering.results import iso_time
from server.openapi.route import Answer, Doc
from server.openapi.values import ApiKey, TenantId, Time, UserId, exactly
from server.replies import JsonReply
from server.tenants.auth import Challenge
from server.tenants.groups import RateLimit, RateLimitWindow

blueprint = Blueprint("auth", url_prefix="/auth")

LONGEST_TOKEN = 8_000
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_TOKEN}}}")


class NewUser(TypedDict):
    challenge: NotRequired[
        Annotated[
            str,
            Field(
                pattern=exactly(_TOKEN),
                description="the token of the tenant's challenge, which the page has solved",
                examples=["0.zrSnRHO7h0HwSjSCU8oyzbjEtD8p"],
            ),
        ]
    ]


class Login(TypedDict):
    apiKey: ApiKey
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[100])]
    rateLimit: Annotated[RateLimit, Field(examples=[10])]
    rateLimitWindow: Annotated[RateLimitWindow, Field(examples=[60])]
    userId: UserId
    expiresAt: Annotated[
        Time,
        Field(
            description="until then user and key are there; from the first charge, hold or "
            "provider call on for longer, and so on while they are used: `GET balance` tells",
            examples=["2025-02-01T12:00:00.000Z"],
        ),
    ]


@blueprint.post(
    "/anonymous",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Make a user, with an API key",
        [Answer("the new user")],
        about="Needs no body, and reads none, unless the tenant's config has an "
        "`auth.anonymous.challenge`: then it needs `challenge`, in a body of 8 KiB at most. The "
        "balance and limits are those of the tenant's group `anonymous`. Logins are limited per "
        "tenant and client address, with the networks around an IPv6 address, and by the tenant's "
        "`limits.logins_per_hour` and `auth.anonymous.per_day`.",
        body=NewUser,
        body_required=False,
        refusals=[
            OriginNotAllowed,
            ChallengeFailed,
            LoginNotConfigured,
            TooManyRequests,
            RedisNearlyFull,
            ChallengeUnavailable,
        ],
    ),
)
@counts_refusals(metrics.login_answered)
async def log_in(request: Request, tenant_id: TenantId) -> JsonReply[Login]:
    services = request.services
    config = request.tenant.config
    if not cors.may_call(request, config):
        raise OriginNotAllowed
    if not config.auth.anonymous.enabled:
        raise LoginNotConfigured
    services.reserve.admit_login()
    await _count(request, tenant_id)
    login = await services.users.login(tenant_id, config.user_groups.anonymous, request.ref)
    metrics.login_answered(tenant_id, "logged_in")
    return reply(
        {
            "apiKey": login.api_key,
            "tokensLeft": login.group.tokens,
            "rateLimit": login.group.rate_limit,
            "rateLimitWindow": login.group.rate_limit_window,
            "userId": login.user_id,
            "expiresAt": iso_time(login.expires_at_ms),
        }
    )


async def _count(request: Request, tenant_id: str) -> None:
    """Counts a login, with its challenge if the tenant has one. Raises Refusal."""
    services, config = request.services, request.tenant.config
    anonymous, client = config.auth.anonymous, client_network(request, services.settings)
    ceilings = Ceilings(config.limits.logins_per_hour or 0, anonymous.per_day)
    if anonymous.challenge is None:
        await request.receive_body()
        await services.login_limits.count(tenant_id, ceilings, client)
        return
    token = _token(await request.read_object(NewUser, SMALL_BYTES))
    # First what costs nothing: the provider is asked no more often than an address may try.
    await services.login_limits.count(tenant_id, ceilings, client, token)
    await _verify(request, tenant_id, anonymous.challenge, token)
    await services.login_limits.count_solved(tenant_id, ceilings)


def _token(body: dict[str, Any]) -> str:
    """Raises ChallengeFailed if there is none, Invalid."""
    token = body.get("challenge", "")
    if token == "":
        raise ChallengeFailed
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        message = f"must be a text of at most {LONGEST_TOKEN:,} visible ASCII characters"
        refuse({"path": "challenge", "message": message})
    return token


async def _verify(request: Request, tenant_id: str, challenge: Challenge, token: str) -> None:
    """Raises ChallengeFailed, ChallengeUnavailable, Overloaded; after the last two the token may
    come again."""
    services = request.services
    try:
        services.places.take(tenant_id)
        try:
            await services.challenges.verify(tenant_id, challenge, token)
        finally:
            services.places.leave(tenant_id)
    except (ChallengeUnavailable, Overloaded):
        await services.login_limits.forget(tenant_id, token)
        raise
