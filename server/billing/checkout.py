"""Checkout: a page of Stripe's for one user and one thing to buy, which is named by us."""

import hashlib
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from server.billing.account import Object, StripeAccount
from server.billing.catalog import Catalog
from server.billing.errors import (
    AlreadySubscribed,
    BillingFailed,
    LoginRequired,
    PaymentDisputed,
    QuestionRefused,
)
from server.billing.objects import PACK, PLAN, PRICE, TENANT, TOKENS, UNDER_WAY, USER, id_of
from server.billing.payments import Payments
from server.errors import Invalid
from server.who import Who

_BACK = ("success_url", "cancel_url")


class Wanted(NamedTuple):
    """What a user would buy, a plan or a pack by its name; the other is ''. Where the user comes
    back to is checked already. `once`: the request's Idempotency-Key."""

    plan: str
    pack: str
    success_url: str
    cancel_url: str
    once: str | None


class Checkout:
    """Sessions of users in `payments`."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    async def open(
        self, account: StripeAccount, catalog: Catalog, who: Who, wanted: Wanted
    ) -> tuple[str, int]:
        """As Billing.checkout."""
        if wanted.plan not in ("", *catalog.plans) or wanted.pack not in ("", *catalog.packs):
            path = "plan" if wanted.plan else "pack"
            raise Invalid("Invalid request", [{"path": path, "message": f"is no {path}"}])
        customer = await self._payments.customer(who)
        if not customer.is_identified:
            raise LoginRequired
        if customer.is_disputed:
            raise PaymentDisputed
        customer_id = customer.customer_id or await self._new_customer(account, who)
        if wanted.plan:
            await self._refuse_second_plan(account, customer_id)
        of_customer = {"customer": customer_id}
        earlier = await account.newest("checkout/sessions", **of_customer, limit=10)
        what = await self._what(account, catalog, who, wanted)
        fitting = [one for one in earlier if _is_for(one, what)]
        if fitting and wanted.once is None:
            session = fitting[0]
        else:
            once = _once(who, wanted.once, what, earlier)
            session = await account.post("checkout/sessions", once=once, **of_customer, **what)
        if wanted.plan:
            await self._expire_earlier(account, session, earlier)
        url, expires_at = session.get("url"), session.get("expires_at")
        if not isinstance(url, str) or not isinstance(expires_at, int):
            raise BillingFailed("a session without a page")
        return url, expires_at

    async def _new_customer(self, account: StripeAccount, who: Who) -> str:
        """The user becomes a customer, the same one whoever asks for it at the same time."""
        made = await account.post(
            "customers", once=_digest(who, "customer"), metadata=_metadata(who)
        )
        return (await self._payments.customer(who, id_of(made))).customer_id

    async def _refuse_second_plan(self, account: StripeAccount, customer_id: str) -> None:
        found = await account.newest("subscriptions", customer=customer_id)
        if any(each.get("status") in UNDER_WAY for each in found):
            raise AlreadySubscribed

    async def _expire_earlier(
        self, account: StripeAccount, session: Object, earlier: list[Object]
    ) -> None:
        """Only one plan can be paid for. A pack may be bought many times."""
        for other in earlier:
            is_open = other.get("status") == "open" and other.get("mode") == "subscription"
            if is_open and other["id"] != session["id"]:
                await _expire(account, other)

    async def expire_all(self, account: StripeAccount, customer_id: str) -> None:
        """Nothing can be paid any more on pages that were opened before."""
        of_customer = {"customer": customer_id, "status": "open"}
        for session in await account.newest("checkout/sessions", **of_customer):
            await _expire(account, session)

    async def _what(
        self, account: StripeAccount, catalog: Catalog, who: Who, wanted: Wanted
    ) -> dict[str, Any]:
        """Price, quantity and tokens are ours; the metadata is on all that comes of the session."""
        metadata = _metadata(who)
        if wanted.plan:
            price = await self._price(account, catalog, wanted.plan)
            metadata |= {PLAN: wanted.plan, PRICE: price}
        else:
            pack = catalog.packs[wanted.pack]
            metadata |= {PACK: wanted.pack, TOKENS: str(pack.tokens)}
            price = pack.price
        made_of_it = "subscription_data" if wanted.plan else "payment_intent_data"
        return {
            "mode": "subscription" if wanted.plan else "payment",
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": wanted.success_url,
            "cancel_url": wanted.cancel_url,
            "client_reference_id": who.user_id,
            "metadata": metadata,
            made_of_it: {"metadata": metadata},
        }

    async def _price(self, account: StripeAccount, catalog: Catalog, plan: str) -> str:
        if price := catalog.plans[plan].price:
            return price
        found = await account.newest("prices", lookup_keys=[plan], active=True)
        if not found:
            raise BillingFailed(f"no price has the lookup key {plan}")
        return id_of(found[0])


async def _expire(account: StripeAccount, session: Object) -> None:
    with suppress(QuestionRefused):  # somebody was faster
        await account.post(f"checkout/sessions/{session['id']}/expire")


def _metadata(who: Who) -> dict[str, str]:
    return {TENANT: who.tenant_id, USER: who.user_id}


def _is_for(session: Object, what: Object) -> bool:
    """It is an open page for the same plan, and comes back to the same place."""
    same = all(session.get(name) == what[name] for name in ("mode", "metadata", *_BACK))
    return same and what["mode"] == "subscription" and session.get("status") == "open"


def _once(who: Who, given: str | None, what: Object, earlier: list[Object]) -> str:
    """For Stripe: who asks twice at the same time gets one page. Later there is another session
    before, or what became of it has changed, and the page is a new one."""
    if given is not None:
        return _digest(who, "checkout", given)
    last = earlier[0] if earlier else {}
    text = orjson.dumps(what, option=orjson.OPT_SORT_KEYS).decode()
    return _digest(who, text, id_of(last), str(last.get("status")))


def _digest(who: Who, *parts: str) -> str:
    text = "\n".join((who.tenant_id, who.user_id, *parts))
    return hashlib.sha256(text.encode()).hexdigest()
