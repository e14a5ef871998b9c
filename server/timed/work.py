"""WorkList: which calls that are billed by time are to be looked at, and when. All workers of all
servers share it, in Redis: whoever is there settles what another one has begun."""

import logging
from secrets import token_hex
from typing import Literal

from server import metrics
from server.store import keys
from server.store.store import Store
from server.timed.record import Name

log = logging.getLogger(__name__)

AT_ONCE = 20
_LEASE_MS = 30_000
"""For one look, after which another worker may do it: longer than a provider takes to answer."""
ASKED_SECONDS = 5
"""Between two looks at a call because somebody asks."""
_CALLBACK_MS = 12 * 3_600_000
"""Providers repeat their callbacks for hours."""

How = Literal["new", "again", "sooner", "never"]


class WorkList:
    """In `store`; raises Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._worker = token_hex(8)

    async def plan(self, name: Name, seconds: float, how: How) -> None:
        """It is looked at after so long; `how` as in lua/schedule.lua."""
        delay_ms = int(seconds * 1000)
        await self._store.run("schedule", [keys.TIMED_WORK], str(name), delay_ms, how)

    async def due(self) -> list[Name]:
        """Some that are, and which nobody else gets for a while."""
        if not await self._store.members(keys.TIMED_WORK, 1):  # as where nobody has voice
            metrics.timed_calls_open(0)
            return []
        work_keys = [keys.TIMED_WORK, keys.TIMED_COUNTER]
        _, (found, count) = await self._store.run_bulk(
            "due", work_keys, self._worker, AT_ONCE, _LEASE_MS
        )
        metrics.timed_calls_open(count)
        return [name for text in found if (name := await self._read(text)) is not None]

    async def _read(self, text: bytes) -> Name | None:
        """None for what another program has put there, which is taken off: whose it is nobody
        knows."""
        name = Name.parse(text)
        if name is None:
            log.error("In the list of calls there was %.100r, which is none", text)
            await self._store.run("schedule", [keys.TIMED_WORK], text, 0, "never")
        return name

    async def may_look(self, name: Name) -> bool:
        """Whether nobody else was told so a moment ago."""
        return await self._store.claim(keys.timed_asked(str(name)), ASKED_SECONDS * 1000)

    async def may_hang_up(self, name: Name) -> bool:
        """Likewise: each time costs the tenant a request at the provider."""
        return await self._store.claim(keys.timed_asked(f"{name} end"), ASKED_SECONDS * 1000)

    async def keep_callback(self, token: str, name: Name) -> None:
        await self._store.keep(keys.timed_callback(token), str(name).encode(), _CALLBACK_MS)

    async def of_callback(self, token: str) -> Name | None:
        text = await self._store.get(keys.timed_callback(token))
        return None if text is None else Name.parse(text)
