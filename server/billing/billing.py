"""Billing: what users buy, as the routes ask for it."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from server.billing.account import StripeAccount, StripeAccounts
from server.billing.catalog import Catalog
from server.billing.checkout import Checkout, Wanted
from server.billing.errors import BillingNotConfigured, InvalidSignature, NoCustomer
from server.billing.events import Events, Outcome
from server.billing.objects import id_of
from server.billing.payments import Customer, Payments
from server.billing.refresh import Refresh
from server.billing.signature import is_signed
from server.errors import InvalidJson
from server.identity.errors import RecentLoginRequired
from server.metering.meter import Meter
from server.metering.results import Rate
from server.tenants.tenants import Tenant
from server.who import Who

log = logging.getLogger(__name__)

SYNC_PAUSE_MS = 10_000


class Overview(NamedTuple):
    """What a user has bought, and can."""

    customer: Customer
    plans: Sequence[tuple[str, int]]
    """By name, with their tokens; so, too, the packs."""
    packs: Sequence[tuple[str, int]]


class Page(NamedTuple):
    """To pay on, until `expires_at` (seconds); `rate` is the user's, which has counted it."""

    url: str
    expires_at: int
    rate: Rate


class Billing:
    """Raises BillingNotConfigured for a tenant that sells nothing; BillingFailed, BillingTimeout
    where Stripe must be asked; Unavailable and Unreadable as Meter does."""

    def __init__(self, payments: Payments, accounts: StripeAccounts, meter: Meter) -> None:
        self._payments = payments
        self._meter = meter
        self._accounts = accounts
        self._refresh = Refresh(payments)
        self._events = Events(self._refresh)
        self._checkout = Checkout(payments)

    def _of(self, tenant: Tenant) -> tuple[StripeAccount, Catalog]:
        catalog = Catalog(tenant.config)
        return self._accounts.of(tenant.tenant_id, catalog.api_key), catalog

    def webhook_secrets(self, tenant: Tenant) -> Sequence[str]:
        """That events are signed with. Raises BillingNotConfigured."""
        stripe = tenant.config.auth.stripe
        if stripe is None or not stripe.webhook_secrets:
            raise BillingNotConfigured
        return stripe.webhook_secrets

    async def take_event(self, tenant: Tenant, body: bytes, signature: str, now: float) -> Outcome:
        """Of Stripe's; `now` in seconds. Raises InvalidSignature, InvalidJson, NotApplied."""
        if not is_signed(body, signature, self.webhook_secrets(tenant), now):
            raise InvalidSignature
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise InvalidJson from None
        if not isinstance(event, dict):
            raise InvalidJson
        account, catalog = self._of(tenant)
        return await self._events.take(account, catalog, event)

    async def overview(self, tenant: Tenant, who: Who) -> Overview:
        """Raises InvalidApiKey."""
        catalog = Catalog(tenant.config)
        return Overview(
            await self._payments.customer(who),
            [(plan.name, plan.group.tokens) for plan in catalog.plans.values()],
            [(name, pack.tokens) for name, pack in catalog.packs.items()],
        )

    async def sync(self, tenant: Tenant, who: Who) -> Overview:
        """After asking Stripe for all that the user has bought.

        Raises InvalidApiKey, TooManyRequests.
        """
        account, catalog = self._of(tenant)
        customer = await self._payments.customer(who)
        if customer.customer_id:
            await self._refresh.run(
                *(account, catalog, (who.user_id, customer.customer_id)),
                *(self._refresh.everything, SYNC_PAUSE_MS),
            )
        return await self.overview(tenant, who)

    async def checkout(self, tenant: Tenant, who: Who, wanted: Wanted) -> Page:
        """The page to pay on.

        Raises InvalidApiKey, TooManyRequests, LoginRequired, PaymentDisputed, AlreadySubscribed,
        KeyReused, Invalid.
        """
        account, catalog = self._of(tenant)
        rate = await self._meter.admit(who)  # with no tokens left, too: it would buy some
        return Page(*await self._checkout.open(account, catalog, who, wanted), rate)

    async def end(self, tenant: Tenant, who: Who) -> None:
        """Ends what a user pays for that is about to be deleted; nothing where the tenant sells
        nothing, or the user has never bought.

        Raises InvalidApiKey, RecentLoginRequired, TooManyRequests.
        """
        stripe = tenant.config.auth.stripe
        if stripe is None or not stripe.api_key:
            return
        customer = await self._payments.customer(who)
        if not customer.customer_id:
            return
        if customer.must_sign_in:
            raise RecentLoginRequired
        await self._meter.admit(who)
        account, _ = self._of(tenant)
        # First what could still be paid: it would be nobody's.
        await self._checkout.expire_all(account, customer.customer_id)
        for each in await account.newest("subscriptions", customer=customer.customer_id):
            await account.delete(f"subscriptions/{id_of(each)}")

    async def portal(self, tenant: Tenant, who: Who, return_url: str) -> tuple[str, Rate]:
        """Stripe's page where a customer changes what it has bought.

        Raises InvalidApiKey, TooManyRequests, NoCustomer, RecentLoginRequired.
        """
        account, _ = self._of(tenant)
        rate = await self._meter.admit(who)
        customer = await self._payments.customer(who)
        if not customer.customer_id:
            raise NoCustomer
        if customer.must_sign_in:
            raise RecentLoginRequired
        back = {"return_url": return_url} if return_url else {}
        session = await account.post(
            "billing_portal/sessions", customer=customer.customer_id, **back
        )
        return str(session["url"]), rate
