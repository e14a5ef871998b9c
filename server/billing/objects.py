"""Stripe's objects, as what is needed of them; by the API's version they have it in two places."""

import re
from typing import Any, NamedTuple

from server.billing.account import Object
from server.billing.errors import BillingFailed
from server.identity.account import LIVE

UNDER_WAY = (*LIVE, "unpaid", "paused")
"""Of one beside which there must be no other."""
TENANT, USER, PLAN, PRICE, PACK, TOKENS = (
    f"vibe_{name}" for name in ("tenant", "user", "plan", "price", "pack", "tokens")
)
"""The metadata of what we make."""


_ID = re.compile(r"[A-Za-z0-9_]{1,255}")


def member(one: Object, *path: str | int) -> Any:
    """What lies there; None if nothing does."""
    found: Any = one
    for part in path:
        try:
            found = found[part]
        except (LookupError, TypeError):
            return None
    return found


def id_of(one: Any) -> str:
    """Of an object, or of what was not expanded; '' for none."""
    found = member(one, "id") if isinstance(one, dict) else one
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""


def customer_of(one: Object) -> str:
    return id_of(one) if one.get("object") == "customer" else id_of(one.get("customer"))


def owner_of(one: Object) -> tuple[str, str] | None:
    """The tenant and the user that its metadata names."""
    for path in ((), ("parent", "subscription_details"), ("subscription_details",)):
        metadata = member(one, *path, "metadata")
        tenant_id, user_id = member(metadata, TENANT), member(metadata, USER)
        if isinstance(tenant_id, str) and isinstance(user_id, str):
            return tenant_id, user_id
    return None


def is_payment(one: Object) -> bool:
    """Is it money that came, for a pack or a period of a plan?"""
    is_pack = one.get("mode") == "payment" and one.get("payment_status") == "paid"
    return is_pack or (one.get("object") == "invoice" and bool(one.get("amount_paid")))


class Times(NamedTuple):
    """In ms."""

    start_ms: int
    end_ms: int


def times_of_subscription(subscription: Object) -> Times:
    """Of its period. Raises BillingFailed."""
    item = member(subscription, "items", "data", 0) or {}
    has = item if "current_period_end" in item else subscription
    return _times(has.get("current_period_start"), has.get("current_period_end"))


def price_of(subscription: Object) -> Object:
    found = member(subscription, "items", "data", 0, "price")
    return found if isinstance(found, dict) else {}


def subscription_of(invoice: Object) -> str:
    details = member(invoice, "parent", "subscription_details", "subscription")
    return id_of(details or invoice.get("subscription"))


class Line(NamedTuple):
    """Of an invoice; `price` is an ID."""

    price: str
    amount: int
    times: Times
    is_proration: bool


def lines_of(invoice: Object) -> list[Line]:
    """Those of subscriptions. Raises BillingFailed."""
    found = []
    for line in member(invoice, "lines", "data") or []:
        details = member(line, "parent", "subscription_item_details")
        price = member(line, "pricing", "price_details", "price") or line.get("price")
        is_proration = bool(member(details, "proration") or line.get("proration"))
        times = _times(member(line, "period", "start"), member(line, "period", "end"))
        if id_of(price):
            found.append(Line(id_of(price), int(line["amount"]), times, is_proration))
    return found


def _times(start: Any, end: Any) -> Times:
    if not isinstance(start, int) or not isinstance(end, int):
        raise BillingFailed("a period that is none")
    return Times(start * 1_000, end * 1_000)
