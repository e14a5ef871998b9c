"""`python -m server reconcile --tenant T`: asks Stripe for all that was bought lately, and mends
what the tenant's users have of it, whatever has become of Stripe's events."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import compress
from typing import NamedTuple

from server.billing.account import StripeAccount, StripeAccounts
from server.billing.catalog import Catalog
from server.billing.comparison import Comparison
from server.billing.errors import BillingFailed, BillingNotConfigured, NotApplied
from server.billing.payments import Orphan, Payments
from server.billing.purchases import Owner, Purchases
from server.billing.refresh import Refresh
from server.errors import InvalidTenant, Unreadable
from server.logs import printable
from server.settings import Settings
from server.store.store import Store
from server.tenants.tenants import Tenants
from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.upstream.names import Names

log = logging.getLogger(__name__)

AT_ONCE = 5
"""Users. Of a sandbox Stripe answers 25 questions a second."""
SETTLE_DOWN_SECONDS = 2.0
NOT_DONE = 2


class Wanted(NamedTuple):
    """What was bought since (seconds); `is_dry`: is only told, not mended; `of_undelivered`: by
    those alone whose events Stripe could not deliver."""

    tenant_id: str
    since: int
    is_dry: bool
    of_undelivered: bool


async def reconcile(store: Store, settings: Settings, wanted: Wanted) -> int:
    """The exit status: 1 if something is, or was, to be repaired; NOT_DONE if that cannot be said.
    May be stopped anywhere and repeated. Raises Unavailable."""
    names = Names()
    upstream = Upstream(names, settings.allow_private_upstreams, Timeouts())
    await store.start()
    await upstream.start()
    try:
        tenant = await Tenants(store, names).load(wanted.tenant_id)
        catalog = Catalog(tenant.config)
        accounts = StripeAccounts(upstream, settings.stripe_url, Timeouts().stripe)
        account = accounts.of(wanted.tenant_id, catalog.api_key)
        bought = await Purchases(account).since(wanted.since, wanted.of_undelivered)
        return await _Reconciliation(
            store, settings.ledger_entries, (account, catalog), wanted.is_dry
        ).run(bought)
    except InvalidTenant:
        log.error("There is no tenant %s", wanted.tenant_id)
    except BillingNotConfigured:
        log.error("Tenant %s sells nothing", wanted.tenant_id)
    except BillingFailed as error:
        log.error("Stripe: %s", error.reason)
    except NotApplied:
        log.error("Others change the same user all the time")
    finally:
        await upstream.close()
        await store.close()
    return NOT_DONE


class _Reconciliation:
    def __init__(
        self, store: Store, ledger_size: int, seller: tuple[StripeAccount, Catalog], is_dry: bool
    ) -> None:
        self._store = store
        self._ledger_size = ledger_size
        self._seller = seller
        self._is_dry = is_dry
        self._skipped = 0
        """Users of whom nothing can be said."""

    async def run(self, bought: dict[Owner, list[str]]) -> int:
        """As reconcile."""
        suspects = await self._each([*bought], self._is_wrong, shows_progress=True)
        if suspects:
            await asyncio.sleep(SETTLE_DOWN_SECONDS)  # of events under way
            suspects = await self._each(suspects, partial(self._mend, bought))
        done = "to be repaired" if self._is_dry else "repaired"
        print(f"reconcile: {len(bought)} users, {len(suspects)} {done}", flush=True)
        return NOT_DONE if self._skipped else 1 if suspects else 0

    async def _each(
        self,
        owners: list[Owner],
        is_one: Callable[[Owner], Awaitable[bool]],
        shows_progress: bool = False,
    ) -> list[Owner]:
        """Those of which it is one."""
        found: list[Owner] = []
        for first in range(0, len(owners), AT_ONCE):
            portion = owners[first : first + AT_ONCE]
            answers = await asyncio.gather(*map(is_one, portion))
            found += compress(portion, answers)
            if shows_progress and sys.stderr.isatty():
                done = first + len(portion)
                bar = "#" * (done * 40 // len(owners))
                line = f"\r[{bar:<40}] {done} of {len(owners)} users"
                print(line, end="", file=sys.stderr, flush=True)
        return found

    async def _compare(self, owner: Owner) -> list[str]:
        """What is wrong, in words. Raises Orphan."""
        comparison = Comparison(self._store, self._ledger_size)
        await self._refresh(comparison, owner)
        return [*dict.fromkeys(comparison.found)]

    async def _refresh(self, payments: Payments, owner: Owner) -> None:
        refresh = Refresh(payments)
        await refresh.run(*self._seller, owner, refresh.everything)

    async def _is_wrong(self, owner: Owner) -> bool:
        try:
            return bool(await self._compare(owner))
        except Orphan:
            return True
        except (BillingFailed, Unreadable) as error:
            self._skip(owner, error.reason)
            return False

    async def _mend(self, bought: dict[Owner, list[str]], owner: Owner) -> bool:
        """Whether there was something."""
        user_id, customer_id = owner
        try:
            found = await self._compare(owner)
            if found and not self._is_dry:
                await self._refresh(Payments(self._store, self._ledger_size), owner)
        except Orphan as error:
            for payment_id in bought[owner]:
                print(printable(f"orphan: {payment_id} of {customer_id}: {error}"), flush=True)
            return False
        except (BillingFailed, Unreadable) as error:
            self._skip(owner, error.reason)
            return False
        if found:
            print(printable(f"user {user_id}: {'; '.join(found)}"), flush=True)
        return bool(found)

    def _skip(self, owner: Owner, reason: str) -> None:
        self._skipped += 1
        log.error("User %s of customer %s: %s", *owner, reason)
