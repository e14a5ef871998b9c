"""Purchases: who has bought lately, as Stripe lists it."""

from collections.abc import AsyncIterator
from typing import Any

from server.billing.account import Object, StripeAccount
from server.billing.events import OF_CHARGES, TAKEN, charge_of
from server.billing.objects import customer_of, id_of, is_payment, member, owner_of

Owner = tuple[str, str]
"""The IDs of a user, and of the customer that it says it is."""

_LISTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("checkout/sessions", {"status": "complete"}),
    ("invoices", {"status": "paid"}),
    ("subscriptions", {"status": "all"}),
    ("refunds", {"expand": ["data.charge"]}),
    ("disputes", {"expand": ["data.charge"]}),
)


class Purchases:
    """With one API key, by the tenant's users. Raises BillingFailed, BillingTimeout."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._owners: dict[str, tuple[str, str]] = {}
        """Tenant and user, by customer."""

    async def since(self, seconds: int, of_undelivered: bool) -> dict[Owner, list[str]]:
        """All users for whom something was made since that time, with the IDs of what they paid
        for; or only those of events that Stripe could not deliver."""
        found: dict[Owner, list[str]] = {}
        async for each in (self._undelivered if of_undelivered else self._all)(seconds):
            customer_id = customer_of(each)
            user_id = await self._user_of(each, customer_id) if customer_id else ""
            if user_id:
                paid = found.setdefault((user_id, customer_id), [])
                if is_payment(each):
                    paid.append(id_of(each))
        return found

    async def _all(self, seconds: int) -> AsyncIterator[Object]:
        for path, params in _LISTS:
            created = {"gte": seconds}
            async for page in self._account.pages(path, **params, created=created):
                for each in page:
                    charge = each.get("charge")
                    yield charge if isinstance(charge, dict) else each

    async def _undelivered(self, seconds: int) -> AsyncIterator[Object]:
        wanted = {"delivery_success": False, "types": [*TAKEN], "created": {"gte": seconds}}
        async for page in self._account.pages("events", **wanted):
            for event in page:
                about = member(event, "data", "object") or {}
                is_of_charge = event.get("type") in OF_CHARGES
                yield await charge_of(self._account, about) if is_of_charge else about

    async def _user_of(self, one: Object, customer_id: str) -> str:
        """'' for nobody of this tenant: with the same key others may sell, too."""
        owner = owner_of(one) or self._owners.get(customer_id)
        if owner is None:
            customer = await self._account.get(f"customers/{customer_id}") or {}
            owner = self._owners[customer_id] = owner_of(customer) or ("", "")
        tenant_id, user_id = owner
        return user_id if tenant_id == self._account.tenant_id else ""
