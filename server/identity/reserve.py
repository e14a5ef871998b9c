"""Reserve: the memory of Redis that is kept for those who have logged in.

Whoever can log in can fill Redis, and a full one refuses every charge. So logins are refused first.
"""

import asyncio
import logging
from contextlib import suppress

from server import metrics
from server.errors import RedisNearlyFull, Unavailable
from server.metrics.shared import this_worker
from server.store.store import Store
from server.tasks import keep_going

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# Logins begin again a little below the share where they end, or each that fits would be news.
_BEGIN_AGAIN = 0.98


class Reserve:
    """Looks how full `store` is; logins may fill it up to `share`, percent of its `maxmemory`."""

    def __init__(self, store: Store, share: int) -> None:
        self._store = store
        self._share = share
        self._is_needed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(keep_going(self._look, "Watching the memory of Redis"))

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def admit_login(self) -> None:
        """Raises RedisNearlyFull."""
        if self._is_needed:
            raise RedisNearlyFull

    async def _look(self) -> None:
        # While Redis does not answer, what it said last holds.
        with suppress(Unavailable):
            self._decide(await self._store.memory_percent())
        await asyncio.sleep(LOOK_SECONDS)

    def _decide(self, percent: float) -> None:
        was_needed = self._is_needed
        self._is_needed = percent > self._share * (_BEGIN_AGAIN if was_needed else 1)
        if self._is_needed == was_needed:
            return
        metrics.logins_suspended(self._is_needed)
        if not this_worker.speaks_for_all:
            return
        if self._is_needed:
            log.error(
                "Redis uses %.1f %% of its maxmemory: logins are refused, and what is left is for "
                "those who have logged in",
                percent,
            )
        else:
            log.info("Redis uses %.1f %% of its maxmemory: logins are served again", percent)
