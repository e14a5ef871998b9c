"""Catalog: what a tenant's users can buy, and which of Stripe's prices that is."""

from typing import NamedTuple

from server.billing.account import Object, StripeAccount
from server.billing.errors import BillingNotConfigured
from server.billing.objects import PLAN, member, price_of
from server.tenants.config import TenantConfig
from server.tenants.groups import Group
from server.tenants.stripe import Pack, Stripe

DAY_MS = 86_400_000


class Offered(NamedTuple):
    """A plan: the tokens and limits of its group, and its price, '' if that has a lookup key."""

    name: str
    group: Group
    price: str


class Catalog:
    """Of one tenant, as its config is now, for one request."""

    def __init__(self, config: TenantConfig) -> None:
        """Raises BillingNotConfigured."""
        stripe = config.auth.stripe
        if stripe is None or not stripe.api_key:
            raise BillingNotConfigured
        self.stripe: Stripe = stripe
        self.api_key = stripe.api_key
        groups = config.user_groups.by_name
        self.plans = {
            name: Offered(name, groups[name], plan.price or "")
            for name, plan in stripe.plans_among(groups).items()
        }
        self.packs: dict[str, Pack] = stripe.packs
        self._asked: dict[str, Offered | None] = {}
        self.grace_ms = stripe.grace_days * DAY_MS

    def plan_of(self, subscription: Object) -> Offered | None:
        """By its price; by what it was bought as where the price is none of ours any more, as one
        that has lost its lookup key to another."""
        found = self.plan_of_price(price_of(subscription))
        return found or self.plans.get(str(member(subscription, "metadata", PLAN)))

    def plan_of_price(self, price: Object) -> Offered | None:
        for plan in self.plans.values():
            if plan.price and plan.price == price.get("id"):
                return plan
        named = self.plans.get(str(price.get("lookup_key")))
        return named if named is not None and not named.price else None

    async def tokens_of(
        self, account: StripeAccount, price_id: str, subscription: Object
    ) -> int | None:
        """Of the plan with this price, of the subscription now or before; None if it is no plan."""
        if price_of(subscription).get("id") == price_id:
            plan = self.plan_of(subscription)
        elif price_id in self._asked:
            plan = self._asked[price_id]
        else:
            plan = self.plan_of_price(await account.get(f"prices/{price_id}") or {})
            self._asked[price_id] = plan
        return plan.group.tokens if plan is not None else None
