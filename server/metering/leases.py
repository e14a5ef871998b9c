"""Leases: what this worker has of the limits of tenants."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from server.errors import Unreadable
from server.metering.block import Block
from server.metering.lease import Lease
from server.metering.slots import Slots
from server.store import keys
from server.store.store import Store
from server.tasks import keep_going
from server.tenants.config import Limits

log = logging.getLogger(__name__)

_DAY_SECONDS = 86_400
_MINUTE_SECONDS = 60
_LOOK_SECONDS = 1.0
# The end of a worker has no time to lose (server/timeouts.py).
_FINISH_SECONDS = 1.0
_AT_ONCE = 32


class TenantLeases:
    """Of one tenant."""

    def __init__(self, store: Store, tenant_id: str, active: set[Lease]) -> None:
        def key(limit: str) -> str:
            return keys.limit(tenant_id, limit)

        self.tokens = Block(store, key("tokens_per_day"), active, _DAY_SECONDS)
        self.calls = Block(store, key("calls_per_minute"), active, _MINUTE_SECONDS)
        self.streams = Slots(store, key("streams"), active)
        self.set(Limits())

    def set(self, limits: Limits) -> None:
        self.limits = limits
        self.tokens.limit = limits.tokens_per_day or 0
        self.calls.limit = limits.calls_per_minute or 0
        self.streams.limit = limits.streams or 0


class Leases:
    """Of all tenants that have limits and were here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of: dict[str, TenantLeases] = {}
        self._active: set[Lease] = set()
        self._looking: asyncio.Task[None] | None = None

    def of(self, tenant_id: str, limits: Limits) -> TenantLeases:
        """Those of a tenant whose limits are now these."""
        found = self._of.get(tenant_id)
        if found is None:
            found = self._of[tenant_id] = TenantLeases(self._store, tenant_id, self._active)
        if found.limits is not limits:
            found.set(limits)
        if self._looking is None:
            self._looking = asyncio.create_task(keep_going(self._look, "Looking after leases"))
        return found

    async def finish(self) -> None:
        """Gives all back, as far as Redis answers: this worker ends."""
        if self._looking is not None:
            self._looking.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_SECONDS):
                await self._with_each(lambda one: one.give_all_back())

    async def _look(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        await self._with_each(lambda one: one.look())

    async def _with_each(self, work: Callable[[Lease], Awaitable[None]]) -> None:
        waiting = list(self._active)
        while waiting:
            some = [waiting.pop() for _ in range(min(_AT_ONCE, len(waiting)))]
            outcomes = await asyncio.gather(*map(work, some), return_exceptions=True)
            for outcome in outcomes:
                # One tenant's broken counter must not cost the others their leases.
                if isinstance(outcome, Unreadable):
                    log.error("A tenant's lease could not be looked after: %s", outcome.reason)
                elif isinstance(outcome, Exception):
                    log.error("A tenant's lease could not be looked after", exc_info=outcome)
