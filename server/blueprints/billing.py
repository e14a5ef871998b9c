"""What users buy: plans and packs, on pages of Stripe's."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType, TypedDict

from server.amounts import Tokens
from server.billing.billing import Overview
from server.billing.checkout import Wanted
from server.billing.errors import (
    AlreadySubscribed,
    BillingFailed,
    BillingNotConfigured,
    BillingTimeout,
    LoginRequired,
    NoCustomer,
    PaymentDisputed,
)
from server.blueprints.request import IDEMPOTENCY_KEY, Request, refuse, reply
from server.errors import KeyReused, Overloaded, TooManyRequests
from server.identity.errors import RecentLoginRequired
from server.metering.results import iso_time
from server.openapi.headers import RATE
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId, Time
from server.replies import JsonReply
from server.tenants.auth import Auth
from server.tenants.redirects import LONGEST_REDIRECT, fault_of_web_address

blueprint = Blueprint("billing", url_prefix="/billing")

_AT_STRIPE = [BillingNotConfigured, BillingFailed, BillingTimeout]

PlanName = Annotated[str, Field(description="a plan's", examples=["stripe_basic"])]
PackName = Annotated[str, Field(description="a pack's", examples=["small"])]
Page = Annotated[
    str,
    Field(
        description="where the user comes back to: one of the tenant's `auth.redirect_uris`. "
        "Where it has none, and no `success_url`, any https address, or http of localhost",
        examples=["https://app.example.com/paid"],
    ),
]
Url = Annotated[
    str,
    Field(
        description="a page of Stripe's, for this user alone",
        examples=["https://checkout.stripe.com/c/pay/cs_test_1"],
    ),
]


class SoldPlan(TypedDict):
    name: PlanName
    tokens: Annotated[Tokens, Field(description="for each period", examples=[5_000])]


class SoldPack(TypedDict):
    name: PackName
    tokens: Annotated[Tokens, Field(examples=[10_000])]


class Bought(TypedDict):
    plan: Annotated[
        PlanName | None, Field(description="that runs; null: none", examples=["stripe_basic"])
    ]
    status: Annotated[str | None, Field(description="Stripe's", examples=["active"])]
    periodEnd: Annotated[Time | None, Field(examples=["2025-03-02T12:00:00.000Z"])]
    cancelAtPeriodEnd: Annotated[bool, Field(examples=[False])]
    plans: Annotated[list[SoldPlan], Field(description="that can be bought")]
    packs: Annotated[list[SoldPack], Field(description="likewise")]


class PurchaseOfPlan(TypedDict):
    plan: PlanName
    returnUrl: NotRequired[Page]


class PurchaseOfPack(TypedDict):
    pack: PackName
    returnUrl: NotRequired[Page]


Purchase = TypeAliasType("Purchase", PurchaseOfPlan | PurchaseOfPack)


class PageToPay(TypedDict):
    url: Url
    expiresAt: Annotated[Time, Field(examples=["2025-02-01T12:00:00.000Z"])]


class Return(TypedDict):
    returnUrl: NotRequired[Page]


class PortalPage(TypedDict):
    url: Url


@blueprint.get(
    "",
    ctx_doc=Doc(
        "Billing",
        "What the user has bought, and can",
        [Answer("the plan, and what is sold")],
        credential="user",
        refusals=[BillingNotConfigured],
    ),
)
async def read_billing(request: Request, tenant_id: TenantId) -> JsonReply[Bought]:
    who = await request.who()
    return reply(_describe(await request.services.billing.overview(request.tenant, who)))


@blueprint.post(
    "/sync",
    ctx_doc=Doc(
        "Billing",
        "Ask Stripe what the user has paid",
        [Answer("the plan as it is now, and what is sold")],
        about="For an app to which a buyer comes back: with Stripe's events there is nothing left "
        "to do. Once in 10 s for each user.",
        credential="user",
        refusals=[*_AT_STRIPE, TooManyRequests, Overloaded],
    ),
)
async def sync(request: Request, tenant_id: TenantId) -> JsonReply[Bought]:
    who = await request.who()
    with request.services.places.place(tenant_id):
        return reply(_describe(await request.services.billing.sync(request.tenant, who)))


@blueprint.post(
    "/checkout",
    stream=True,
    ctx_doc=Doc(
        "Billing",
        "A page to buy a plan or a pack on",
        [Answer("the page", status=201, headers=RATE)],
        about="Of users who have signed in. Price and tokens are the tenant's. What is paid is "
        "credited when Stripe says so, not when the user comes back. One request of the rate "
        "limit, whatever the balance is.",
        credential="user",
        parameters=[IDEMPOTENCY_KEY],
        body=Purchase,
        refusals=[
            *(*_AT_STRIPE, LoginRequired, AlreadySubscribed, PaymentDisputed),
            *(KeyReused, TooManyRequests),
        ],
        rated=True,
    ),
)
async def check_out(request: Request, tenant_id: TenantId) -> JsonReply[PageToPay]:
    who = await request.who()
    once = request.idempotency_key()
    body = await request.read_object(Purchase.__value__)
    plan, pack = _text(body, "plan"), _text(body, "pack")
    if bool(plan) == bool(pack):
        refuse({"path": "", "message": "must have either plan or pack"})
    auth = request.tenant.config.auth
    success_url = _return_url(auth, _text(body, "returnUrl"), must=True)
    cancel_url = (auth.stripe and auth.stripe.cancel_url) or success_url
    wanted = Wanted(plan, pack, success_url, cancel_url, once)
    with request.services.places.place(tenant_id):
        page = await request.services.billing.checkout(request.tenant, who, wanted)
    made: PageToPay = {"url": page.url, "expiresAt": iso_time(page.expires_at * 1_000)}
    return reply(made, 201, page.rate.headers())


@blueprint.post(
    "/portal",
    stream=True,
    ctx_doc=Doc(
        "Billing",
        "A page to change or cancel what was bought on",
        [Answer("the page", status=201, headers=RATE)],
        about="With a key with which a login had to do within the last hour: a copied key must not "
        "lead to a page that outlives it. One request of the rate limit.",
        credential="user",
        body=Return,
        body_required=False,
        refusals=[*_AT_STRIPE, NoCustomer, RecentLoginRequired, TooManyRequests],
        rated=True,
    ),
)
async def open_portal(request: Request, tenant_id: TenantId) -> JsonReply[PortalPage]:
    who = await request.who()
    body = await request.read_object(Return)
    back = _return_url(request.tenant.config.auth, _text(body, "returnUrl"), must=False)
    with request.services.places.place(tenant_id):
        url, rate = await request.services.billing.portal(request.tenant, who, back)
    return reply({"url": url}, 201, rate.headers())


def _text(body: dict[str, Any], name: str) -> str:
    """The member; '' where it is absent. Raises Invalid."""
    value = body.get(name, "")
    if not isinstance(value, str) or (name in body and not value):
        refuse({"path": name, "message": "must be a text"})
    return str(value)


def _return_url(auth: Auth, given: str, must: bool) -> str:
    """Where the user comes back to; '' if that is nowhere, and need not be. Raises Invalid."""
    success_url = (auth.stripe and auth.stripe.success_url) or ""
    if not given:
        if must and not success_url:
            refuse({"path": "returnUrl", "message": "is required: there is no success_url"})
        return success_url
    if given in auth.redirect_uris:
        return given
    if success_url or auth.redirect_uris:
        refuse({"path": "returnUrl", "message": "is none of auth.redirect_uris"})
    fault = fault_of_web_address(given) if len(given) <= LONGEST_REDIRECT else "is too long"
    if fault:
        refuse({"path": "returnUrl", "message": fault})
    return given


def _describe(overview: Overview) -> Bought:
    subscription = overview.customer.subscription
    ends_at = subscription and subscription.period_end_ms
    return {
        "plan": subscription.plan if subscription else None,
        "status": subscription.status if subscription else None,
        "periodEnd": iso_time(ends_at) if ends_at else None,
        "cancelAtPeriodEnd": subscription.ends if subscription else False,
        "plans": [{"name": name, "tokens": tokens} for name, tokens in overview.plans],
        "packs": [{"name": name, "tokens": tokens} for name, tokens in overview.packs],
    }
