"""Refresh: what a user has paid is asked of Stripe, and given; how often and when does not matter.

A ticket is taken before Stripe is asked, and an answer counts only while that is the last one. So
what is known of a user never goes back: else an answer from before a plan began could end it, and
with it the tokens that were paid for meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import random
from typing import Any

from server.billing.account import Object, StripeAccount
from server.billing.catalog import Catalog, Offered
from server.billing.errors import NotApplied
from server.billing.objects import (
    TOKENS,
    customer_of,
    id_of,
    member,
    subscription_of,
    times_of_subscription,
)
from server.billing.paid_invoices import Unpriced, payment_of
from server.billing.payments import BEYOND, Orphan, Overtaken, Payment, Payments, Plan
from server.identity.account import LIVE
from server.metering.results import Subscription
from server.metrics.billing import payment_orphaned
from server.who import Ref

log = logging.getLogger(__name__)

INVOICES = 30
"""That are looked at, the newest: more than there are in a period."""
TRIES = 5
PAUSE_SECONDS = 0.2
OPEN_DISPUTES = ("needs_response", "under_review", "lost")
"""In which the money is not the tenant's; an inquiry (`warning_...`) takes none."""
NO_SUBSCRIPTION = Subscription("", "none", 0, False)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A user of a tenant as a customer; `ticket` was taken for what is asked now."""

    account: StripeAccount
    catalog: Catalog
    user_id: str
    customer_id: str
    ticket: int

    @property
    def ids(self) -> tuple[str, str]:
        return self.account.tenant_id, self.user_id


class Refresh:
    """Works on `payments`. All raise BillingFailed, BillingTimeout, Unavailable; Orphan for a user
    that is not there; Overtaken."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    async def run(
        self,
        account: StripeAccount,
        catalog: Catalog,
        owner: tuple[str, str],
        work: Callable[[Buyer], Awaitable[None]],
        pause_ms: int = 0,
    ) -> None:
        """Does it for the user and customer that `owner` names, again where others of the same user
        overtake it. Raises NotApplied if they still do after some tries; no Overtaken."""
        for number in range(TRIES):
            ticket = await self._payments.ticket(*owner, 0 if number else pause_ms)
            try:
                await work(Buyer(account, catalog, *owner, ticket))
                return
            except Overtaken:
                await asyncio.sleep(random() * PAUSE_SECONDS * 2**number)  # noqa: S311
        raise NotApplied("overtaken")

    async def everything(self, buyer: Buyer) -> None:
        """The plan, packs, and what went back of either."""
        await self.plan(buyer)
        of_customer = {"customer": buyer.customer_id}
        for session in await buyer.account.newest("checkout/sessions", **of_customer):
            await self.pack(buyer, session)
        for charge in await buyer.account.newest("charges", **of_customer):
            if charge.get("amount_refunded") or charge.get("disputed"):
                await self.charge(buyer, charge)

    async def plan(self, buyer: Buyer) -> None:
        """The subscription, and the invoices that were paid for it, the oldest first."""
        of_customer = {"customer": buyer.customer_id}
        account = buyer.account
        # In this order: then no invoice is newer than what is known of its subscription.
        invoices = await account.newest("invoices", status="paid", limit=INVOICES, **of_customer)
        subscriptions = await account.newest("subscriptions", status="all", **of_customer)
        best, plan = _best(buyer, subscriptions)
        shown = best or next(iter(subscriptions), None)
        told, ref = _told(shown, plan), Ref(subscription=id_of(shown))
        until_ms = told.period_end_ms + buyer.catalog.grace_ms
        given = Plan(plan.name, plan.group, until_ms) if plan is not None else None
        paid = await self._paid(buyer, invoices, subscriptions)
        await self._set_plan(buyer, given, told, paid, ref)

    async def _set_plan(
        self,
        buyer: Buyer,
        plan: Plan | None,
        told: Subscription,
        paid: Sequence[Payment],
        ref: Ref,
    ) -> None:
        values = (*buyer.ids, buyer.ticket, plan, told, paid, ref)
        try:
            applied = await self._payments.set_plan(*values)
        except Overtaken:
            # Who has overtaken may be done soon, and then it need not be asked again.
            await asyncio.sleep(PAUSE_SECONDS)
            applied = await self._payments.set_plan(*values)
        for field in applied.credited:
            _tell(buyer, field)
        for field in applied.too_large:
            orphaned(buyer.account.tenant_id, field, BEYOND)

    async def _paid(
        self, buyer: Buyer, invoices: list[Object], subscriptions: list[Object]
    ) -> list[Payment]:
        # Not for one that is about to begin: until then a payment would give nothing.
        begun = {each["id"]: each for each in subscriptions if each.get("status") != "incomplete"}
        tokens_of = partial(buyer.catalog.tokens_of, buyer.account)
        found = []
        for invoice in reversed(invoices):
            subscription = begun.get(subscription_of(invoice))
            if subscription is None:
                continue
            try:
                payment = await payment_of(invoice, subscription, invoices, tokens_of)
            except Unpriced:
                if invoice.get("amount_paid"):
                    orphaned(buyer.account.tenant_id, invoice["id"], "its price is no plan's")
                continue
            if payment is not None:
                found.append(payment)
        return found

    async def pack(self, buyer: Buyer, session: Object) -> None:
        """A checkout session, if it is a pack's, and paid."""
        is_paid = session.get("payment_status") in ("paid", "no_payment_required")
        tokens = _whole(member(session, "metadata", TOKENS))
        is_its = customer_of(session) == buyer.customer_id
        if session.get("mode") != "payment" or not (is_paid and is_its and tokens):
            return
        field, ref = f"session:{session['id']}", Ref(session=session["id"])
        try:
            credited = await self._payments.credit(*buyer.ids, field, tokens, ref)
        except Orphan as error:
            orphaned(buyer.account.tenant_id, field, str(error))
            return
        if not credited.replayed:
            _tell(buyer, field)

    async def charge(self, buyer: Buyer, charge: Object) -> None:
        """What of a charge went back, or is disputed; what it paid is credited before."""
        field = await self._paid_by(buyer, charge)
        if not field:
            return
        disputes = []
        if charge.get("disputed"):
            disputes = await buyer.account.newest("disputes", charge=charge["id"])
        disputed = sum(_whole(each.get("amount")) for each in disputes if _is_open(each))
        paid = _whole(charge.get("amount"))
        returned = min(_whole(charge.get("amount_refunded")) + disputed, paid)
        ref: Ref = {"charge": charge["id"]}
        await self._payments.take_back(
            *buyer.ids, buyer.ticket, field, returned, paid, disputed > 0, ref
        )

    async def _paid_by(self, buyer: Buyer, charge: Object) -> str:
        """The field of the payment that it was for, '' if it was for none."""
        intent = id_of(charge.get("payment_intent"))
        if not intent or customer_of(charge) != buyer.customer_id:
            return ""
        account = buyer.account
        for session in await account.newest("checkout/sessions", payment_intent=intent):
            await self.pack(buyer, session)
            return f"session:{session['id']}"
        by_intent = {"type": "payment_intent", "payment_intent": intent}
        for payment in await account.newest("invoice_payments", payment=by_intent):
            await self.plan(buyer)
            return f"invoice:{id_of(payment.get('invoice'))}"
        return ""


def _tell(buyer: Buyer, field: str) -> None:
    tenant_id, user_id = buyer.ids
    log.info("User %s of tenant %s has paid %s", user_id, tenant_id, field)


def orphaned(tenant_id: str, what: str, why: str) -> None:
    """Somebody has paid, and nobody has got anything for it."""
    payment_orphaned(tenant_id)
    log.error("Payment %s of tenant %s is credited to nobody: %s", what, tenant_id, why)


def _best(buyer: Buyer, subscriptions: list[Object]) -> tuple[Object | None, Offered | None]:
    """Of those that live the one with most tokens, and its plan."""
    live = [each for each in subscriptions if each.get("status") in LIVE]
    known = [(each, plan) for each in live if (plan := buyer.catalog.plan_of(each)) is not None]
    if len(known) > 1:
        names = ", ".join(each["id"] for each, _ in known)
        log.warning("User %s of tenant %s pays for %s", buyer.user_id, buyer.ids[0], names)
    for each in live:
        if all(each is not other for other, _ in known):
            log.warning("The price of %s of tenant %s is no plan's", each["id"], buyer.ids[0])
    return max(known, key=lambda pair: pair[1].group.tokens, default=(None, None))


def _told(subscription: Object | None, plan: Offered | None) -> Subscription:
    if subscription is None:
        return NO_SUBSCRIPTION
    ends = bool(subscription.get("cancel_at_period_end") or subscription.get("cancel_at"))
    end_ms = times_of_subscription(subscription).end_ms
    return Subscription(plan.name if plan else "", str(subscription.get("status")), end_ms, ends)


def _is_open(dispute: Object) -> bool:
    return dispute.get("status") in OPEN_DISPUTES


def _whole(value: Any) -> int:
    """An amount of money or tokens; 0 for what is none."""
    try:
        return max(int(value), 0)
    except (TypeError, ValueError):
        return 0
