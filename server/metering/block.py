"""Block: what a worker may use of a tenant's tokens of a day, or calls of a minute.

The limit holds over all workers, but is no second question to Redis in the path of a request: a
worker leases a block from the tenant's counter ahead of need, and its requests take from that. A
block is what a second uses, at most 1 % of the limit, and ever less the less is left; near the end
each request leases for itself. What a worker does not need it gives back.
"""

import asyncio
from secrets import token_hex
from time import monotonic
from typing import NamedTuple

from server.amounts import LARGEST
from server.errors import NotSent, TenantLimited, Unavailable
from server.metering.errors import HELD_RETRY_MS
from server.metering.lease import Lease
from server.store.status import Status
from server.store.store import Store

_SHARE_OF_LIMIT = 100
_SHARE_OF_LEFT = 64
# So many refusals within this time are a flood: for the rest of it, others like them do not ask
# Redis. Few do, as what another worker gives back must be found at once.
_FLOOD = 8
_FLOOD_SECONDS = 0.02


class Taken(NamedTuple):
    """Units that were taken from a block, and the window that they are of."""

    units: int
    window: int


class _Refused(NamedTuple):
    """What was left of the limit; `until` when refusals are counted, and when to come `back`."""

    limit: int
    left: int
    until: float
    back: float


class Block(Lease):
    """Tokens and calls alike are units here, days and minutes windows. A window that is over takes
    along what was leased in it."""

    def __init__(self, store: Store, key: str, active: set[Lease], window_seconds: int) -> None:
        super().__init__(store, key, active)
        self._window_ms = window_seconds * 1000
        self._worker = token_hex(8)
        self.held = 0
        """Units that open calls of this worker hold, and will give back in part."""
        self._left = 0
        """Below 0: used without a lease, and not told yet."""
        self._window = 0
        self._used = 0
        self._used_before = 0
        """Since the last look, and in the second before that."""
        self._most_kept = 0
        self._low = 0
        """With less left, more is leased in the background."""
        self._is_leasing_ahead = False
        self._refused = _Refused(0, 0, 0.0, 0.0)
        self._refusals = 0

    def take(self, units: int) -> Taken | None:
        """Of what is leased; None if that is not enough: then ask."""
        if units > self._left or monotonic() >= self._until:
            return None
        self._left -= units
        self._used += units
        if self._left < self._low and not self._is_leasing_ahead:
            self._is_leasing_ahead = True
            self._start(self._lease(0, 0, 0, is_ahead=True))  # if it fails, a request asks again
        return Taken(units, self._window)

    async def ask(self, least: int, most: int) -> Taken:
        """Leases up to `most` units for one request, at least `least`.

        Raises TenantLimited, until the window ends or for a moment where open calls hold what is
        missing, and Unavailable.
        """
        refused, now = self._refused, monotonic()
        is_flood = self._refusals > _FLOOD and now < refused.until
        if is_flood and self.limit == refused.limit and least > refused.left + self._left:
            raise TenantLimited((refused.back - now) * 1000)
        # With what is left here: two workers that each have too little must not both refuse.
        returned, self._left = self._left, 0
        is_ahead, self._is_leasing_ahead = not self._is_leasing_ahead, True
        leasing = self._start(self._lease(least, most, returned, is_ahead))
        try:
            taken: Taken = await asyncio.shield(leasing)
            return taken
        except asyncio.CancelledError:
            leasing.add_done_callback(self._put_back)
            raise

    def give_back(self, units: int, window: int) -> None:
        """Of those taken in that window; below 0: so many more were used."""
        if window > self._window:  # this worker has not seen it, but another one, which took them
            self._enter(window, 0.0)
        if window == self._window and units != 0:
            self._left += units
            self._active.add(self)
            if self._surplus() != 0:
                self._start(self._settle_up())

    async def look(self) -> None:
        if self._left == self._used == self._used_before == 0:
            self._active.discard(self)
        self._used_before, self._used = self._used, 0
        await self._settle_up()

    async def give_all_back(self) -> None:
        self._used = self._used_before = 0
        await asyncio.gather(*self._tasks, self._settle_up())

    def _surplus(self) -> int:
        """What is not kept for the next requests; below 0: what was used without a lease."""
        kept = min(max(self._used, self._used_before), self._most_kept)
        return self._left if self._left < 0 else max(self._left - kept, 0)

    async def _settle_up(self) -> None:
        """Returns the surplus; that of which Redis says nothing counts as used."""
        units, window = self._surplus(), self._window
        if units == 0:
            return
        self._left -= units
        try:
            await self._run(0, 0, 0, units)
        except Unavailable as error:
            if window == self._window and (units < 0 or isinstance(error, NotSent)):
                self._left += units

    async def _lease(self, least: int, most: int, returned: int, is_ahead: bool) -> Taken:
        """`is_ahead`: this one, of those under way, also leases ahead."""
        recently, window = max(self._used, self._used_before), self._window
        ahead = min(recently, self.limit // _SHARE_OF_LIMIT) if is_ahead else 0
        try:
            units = await self._run(least, most, ahead, returned)
        except NotSent:
            self.give_back(returned, window)
            raise
        finally:
            if is_ahead:
                self._is_leasing_ahead = False
        mine = min(most, units)
        self._left += units - mine
        if is_ahead:
            self._low = (units - mine) // 2
        self._used += mine
        self._active.add(self)
        return Taken(mine, self._window)

    async def _run(self, least: int, most: int, ahead: int, returned: int) -> int:
        """Runs lua/lease.lua and enters its window; the units. Raises TenantLimited."""
        sent = monotonic()
        status, (units, left, window, ends_in_ms) = await self._store.run(
            "lease",
            [self._key],
            *(self.limit, self._window_ms, least, most, ahead, _SHARE_OF_LEFT),
            *(returned, self._window, self._worker, min(self.held, LARGEST)),
        )
        self._enter(window, sent + ends_in_ms / 1000)
        self._most_kept = min(self.limit // _SHARE_OF_LIMIT, left // _SHARE_OF_LEFT)
        if status is not Status.OK:
            is_held = status is Status.TOO_MANY_HOLDS
            wait_ms = min(ends_in_ms, HELD_RETRY_MS) if is_held else ends_in_ms
            self._note_refusal(left, wait_ms / 1000)
            raise TenantLimited(wait_ms)
        return int(units)

    def _note_refusal(self, left: int, seconds: float) -> None:
        now, until = monotonic(), self._refused.until
        if now >= until:
            self._refusals, until = 0, now + _FLOOD_SECONDS
        self._refusals += 1
        self._refused = _Refused(self.limit, left, until, now + seconds)

    def _enter(self, window: int, until: float) -> None:
        if window != self._window:
            self._window, self._left = window, 0
        self._until = until

    def _put_back(self, leasing: asyncio.Task[Taken]) -> None:
        """What was leased for a request whose client has gone."""
        if not leasing.cancelled() and leasing.exception() is None:
            self.give_back(*leasing.result())
