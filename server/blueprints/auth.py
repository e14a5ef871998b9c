"""Logging in; keys are checked elsewhere: in Request.who, and by read_user in the scripts."""

from typing import Annotated

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server import metrics
from server.amounts import Tokens
from server.blueprints import cors
from server.blueprints.client_address import client_network
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import Request, reply
from server.errors import OriginNotAllowed, RedisNearlyFull, TooManyRequests
from server.identity.errors import LoginNotConfigured
from server.identity.logins import Ceilings
from server.openapi.route import Answer, Doc
from server.openapi.values import ApiKey, TenantId, UserId
from server.replies import JsonReply
from server.tenants.groups import RateLimit, RateLimitWindow

blueprint = Blueprint("auth", url_prefix="/auth")


class Login(TypedDict):
    apiKey: ApiKey
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[100])]
    rateLimit: Annotated[RateLimit, Field(examples=[10])]
    rateLimitWindow: Annotated[RateLimitWindow, Field(examples=[60])]
    userId: UserId


@blueprint.post(
    "/anonymous",
    ctx_doc=Doc(
        "Login",
        "Make a user, with an API key",
        [Answer("the new user")],
        about="Needs no body. The balance and limits are those of the tenant's group "
        "`anonymous`. Logins are limited per tenant and client address, with the networks around "
        "an IPv6 address, and by the tenant's `limits.logins_per_hour` and "
        "`auth.anonymous.per_day`.",
        refusals=[OriginNotAllowed, LoginNotConfigured, TooManyRequests, RedisNearlyFull],
    ),
)
@counts_refusals(metrics.login_answered)
async def log_in(request: Request, tenant_id: TenantId) -> JsonReply[Login]:
    services = request.services
    config = request.tenant.config
    if not cors.may_log_in(request, config):
        raise OriginNotAllowed
    if not config.auth.anonymous.enabled:
        raise LoginNotConfigured
    services.reserve.admit_login()
    ceilings = Ceilings(config.limits.logins_per_hour or 0, config.auth.anonymous.per_day)
    client = client_network(request, services.settings)
    await services.login_limits.count(tenant_id, ceilings, client)
    login = await services.users.login(tenant_id, config.user_groups.anonymous, request.ref)
    metrics.login_answered(tenant_id, "logged_in")
    return reply(
        {
            "apiKey": login.api_key,
            "tokensLeft": login.group.tokens,
            "rateLimit": login.group.rate_limit,
            "rateLimitWindow": login.group.rate_limit_window,
            "userId": login.user_id,
        }
    )
