"""Events: each names something that may have changed at Stripe, which then is asked for it.

No event is remembered, and none is believed: how often, late or in which order they come changes
nothing. What fails here Stripe delivers again.
"""

import logging
from functools import partial
from typing import Literal

from server.billing.account import Object, StripeAccount
from server.billing.catalog import Catalog
from server.billing.errors import BillingFailed, NotApplied
from server.billing.objects import customer_of, id_of, is_payment, member, owner_of
from server.billing.payments import Orphan
from server.billing.refresh import Buyer, Refresh, orphaned

log = logging.getLogger(__name__)

OF_SESSIONS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
OF_PLANS = (
    *(f"customer.subscription.{what}" for what in ("created", "updated", "deleted")),
    *(f"customer.subscription.{what}" for what in ("paused", "resumed")),
    *("customer.deleted", "invoice.paid"),
)
OF_CHARGES = (
    "charge.refunded",
    *(f"charge.dispute.{what}" for what in ("created", "closed", "funds_reinstated")),
)
TAKEN = (*OF_SESSIONS, *OF_PLANS, *OF_CHARGES)

Outcome = Literal["applied", "ignored", "orphan"]


class Events:
    """What events bring about."""

    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh

    async def take(self, account: StripeAccount, catalog: Catalog, event: Object) -> Outcome:
        """Raises NotApplied and Unavailable: the event is to come again."""
        kind, about = event.get("type"), member(event, "data", "object")
        is_ours = isinstance(about, dict) and event.get("livemode") is account.is_live
        if kind not in TAKEN or not is_ours:
            return "ignored"
        try:
            return await self._take(account, catalog, str(kind), about)
        except BillingFailed as error:
            raise NotApplied(f"Stripe: {error.reason}") from None

    async def _take(
        self, account: StripeAccount, catalog: Catalog, kind: str, about: Object
    ) -> Outcome:
        if kind in OF_CHARGES:
            about = await charge_of(account, about)
        customer_id = customer_of(about)
        if not customer_id:
            return "ignored"
        owner = owner_of(about) or await self._owner(account, customer_id)
        if owner is None or owner[0] != account.tenant_id:
            return "ignored"
        try:
            work = partial(self._ask_again, kind, about)
            await self._refresh.run(account, catalog, (owner[1], customer_id), work)
        except Orphan as error:
            # As of a plan that ends with its user's account.
            if not is_payment(about):
                return "ignored"
            orphaned(account.tenant_id, id_of(about), str(error))
            return "orphan"
        return "applied"

    async def _ask_again(self, kind: str, about: Object, buyer: Buyer) -> None:
        """With the ticket taken, for what it is now."""
        account, name = buyer.account, id_of(about)
        if kind in OF_CHARGES:
            charge = await account.get(f"charges/{name}")
            if charge is not None:
                await self._refresh.charge(buyer, charge)
        elif kind in OF_SESSIONS and about.get("mode") == "payment":
            session = await account.get(f"checkout/sessions/{name}")
            if session is not None:
                await self._refresh.pack(buyer, session)
        else:
            await self._refresh.plan(buyer)

    async def _owner(self, account: StripeAccount, customer_id: str) -> tuple[str, str] | None:
        customer = await account.get(f"customers/{customer_id}")
        return owner_of(customer) if customer is not None else None


async def charge_of(account: StripeAccount, about: Object) -> Object:
    """The charge that it is, or that it disputes; with nothing in it if there is none."""
    is_charge = about.get("object") == "charge"
    charge_id = id_of(about if is_charge else about.get("charge"))
    charge = await account.get(f"charges/{charge_id}") if charge_id else None
    return charge or {}
