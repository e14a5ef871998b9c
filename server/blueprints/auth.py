"""Logging in; keys are checked elsewhere: in Request.who, and by read_user in lua/prelude.lua."""

import logging
from functools import cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Annotated

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server import metrics
from server.amounts import Tokens
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import Request, reply
from server.errors import TooManyRequests
from server.openapi.route import Answer, Doc
from server.openapi.values import ApiKey, TenantId, UserId
from server.replies import JsonReply
from server.tenants.config import RateLimit, RateLimitWindow

log = logging.getLogger(__name__)

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
        "`anonymous`. Logins are limited per tenant and client address.",
        refusals=[TooManyRequests],
    ),
)
@counts_refusals(metrics.login_answered)
async def log_in(request: Request, tenant_id: TenantId) -> JsonReply[Login]:
    services = request.services
    address = _client_address(request)
    per_minute = services.settings.anonymous_logins_per_minute
    if address and per_minute:
        await services.users.count_login(tenant_id, address, per_minute)
    login = await services.users.login(
        tenant_id, request.tenant.config.user_groups.anonymous, request.ref
    )
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


def _client_address(request: Request) -> str | None:
    """Where the login comes from; None if it is not to be limited.

    Behind a proxy that is not declared, every peer is the proxy: loopback peers are exempt then,
    so that a development proxy does not lock everyone out, and the log says so once.
    """
    settings = request.services.settings
    behind_proxy = bool(settings.proxies_count or settings.forwarded_secret)
    if not behind_proxy and "x-forwarded-for" in request.headers:
        _warn_of_proxy()
    for text in (request.remote_addr if behind_proxy else "", request.ip):
        try:
            # Sanic writes an IPv6 address that a proxy tells of in brackets.
            address = ip_address(text.strip("[]"))
        except ValueError:
            continue
        if address.is_loopback and not behind_proxy:
            return None
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            # One subscriber has a whole /64 to choose addresses from.
            return str(IPv6Network((address, 64), strict=False))
        return str(address)
    return None


@cache
def _warn_of_proxy() -> None:
    log.warning(
        "A login carries X-Forwarded-For, but neither PROXIES_COUNT nor FORWARDED_SECRET is set: "
        "logins are limited by the address of the proxy"
    )
