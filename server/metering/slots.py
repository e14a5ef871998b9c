"""Slots: the streams that a worker may have open of those that a tenant's limit allows.

They are leased from Redis for half a minute, again and again while the worker lives, so that those
of a worker that dies come back. A slot that a stream leaves stays for the next one while there is
plenty, and else goes back at once.
"""

import asyncio
from contextlib import suppress
from secrets import token_hex
from time import monotonic

from server.errors import TenantLimited, Unavailable
from server.metering.lease import Lease
from server.store.status import Status
from server.store.store import Store

LEASE_SECONDS = 30
RENEW_SECONDS = 5
_SHARE_OF_LEFT = 16
# Nobody knows when a stream will end.
_RETRY_MS = 5_000


class Slots(Lease):
    """Of one tenant's limit of open streams."""

    def __init__(self, store: Store, key: str, active: set[Lease]) -> None:
        super().__init__(store, key, active)
        self._worker = token_hex(8)
        self._open = 0
        self._asking = 0
        self._leased = 0
        self._most_spare = 0
        self._peak = 0
        self._peak_before = 0
        """The most that were open since the last look, and in the second before that."""

    def open(self) -> bool:
        """False if a slot must be asked for. One that is open must be closed."""
        if self._open + self._asking >= self._leased or monotonic() >= self._until:
            return False
        self._opened()
        return True

    async def ask(self) -> None:
        """Opens one. Raises TenantLimited and Unavailable."""
        self._asking += 1
        try:
            # A task, so that what it leases for a client that has gone is known, and given back.
            await asyncio.shield(self._start(self._lease(self._open + self._asking)))
        finally:
            self._asking -= 1
        self._opened()

    def close(self) -> None:
        self._open -= 1
        if self._leased > self._kept():
            self._start(self._settle_up())

    async def look(self) -> None:
        """Also renews the lease of those that are."""
        self._peak_before, self._peak = self._peak, self._open
        renews = self._leased > 0 and monotonic() > self._until - (LEASE_SECONDS - RENEW_SECONDS)
        if renews or self._leased > self._kept():
            await self._settle_up()
        elif self._leased == self._open == 0:
            self._active.discard(self)

    async def give_all_back(self) -> None:
        self._most_spare = 0
        await asyncio.gather(*self._tasks, self._settle_up(), return_exceptions=True)

    def _opened(self) -> None:
        self._open += 1
        self._peak = max(self._peak, self._open)

    def _kept(self) -> int:
        """Slots that are open, asked for, or kept for the next streams."""
        needed = self._open + self._asking
        recently = max(self._peak, self._peak_before)
        return max(needed, min(recently, needed + self._most_spare))

    async def _settle_up(self) -> None:
        with suppress(Unavailable):  # the next look does it
            await self._lease(0)

    async def _lease(self, least: int) -> None:
        sent = monotonic()
        self._active.add(self)
        status, (slots, left) = await self._store.run(
            "lease_slots",
            [self._key],
            *(self.limit, self._worker, self._open, least, self._kept(), LEASE_SECONDS * 1000),
        )
        if status is Status.RATE_LIMITED:
            raise TenantLimited(_RETRY_MS)
        self._leased, self._until = slots, sent + LEASE_SECONDS
        self._most_spare = left // _SHARE_OF_LEFT
