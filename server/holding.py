"""Holds for our own calls: settled whatever becomes of the call, as long as this worker lives.

A worker that dies settles nothing; its holds go back at their deadline.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from server.errors import InvalidApiKey, NotSent, Unavailable, UnknownHold
from server.meter import Meter, new_hold_id
from server.results import Held, Ref

log = logging.getLogger(__name__)

HOLD_MS = 60_000
EXTEND_SECONDS = 20.0
SETTLE_SECONDS = 30 * 60
LONGEST_PAUSE_SECONDS = 5.0
LEAST_FINISH_SECONDS = 2.0


class OpenHold:
    """A hold during its call; the call sets `cost` (tokens; 0 releases the hold) and `ref`."""

    def __init__(self, held: Held, ref: Ref) -> None:
        self.held = held
        self.cost = 0
        self.ref = ref


class Holding:
    """Makes holds, extends them while their calls last, and settles them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        # The loop keeps only weak references to tasks, and a shutdown must wait for these.
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(
        self, tenant_id: str, user_id: str, api_key: str, wanted: int, minimum: int, ref: Ref
    ) -> AsyncIterator[OpenHold]:
        """Holds tokens while the body runs, then settles to its `cost`; also when cancelled.

        The settle goes on by itself: nothing that happens to the caller can stop it. Raises as
        Meter.hold. A hold whose outcome is unknown is released, and the body does not run.
        """
        hold_id = new_hold_id()
        try:
            held = await self._meter.hold(
                tenant_id,
                user_id,
                api_key,
                wanted,
                minimum,
                HOLD_MS,
                "own",
                ref,
                hold_id=hold_id,
            )
        except NotSent:
            raise
        except (Unavailable, asyncio.CancelledError):
            self._start(self._settle(tenant_id, user_id, hold_id, 0, ref))
            raise
        opened = OpenHold(held, ref)
        extending = asyncio.create_task(self._extend(tenant_id, user_id, hold_id))
        try:
            yield opened
        finally:
            extending.cancel()
            self._start(self._settle(tenant_id, user_id, hold_id, opened.cost, opened.ref))

    async def finish(self, deadline: float) -> None:
        """Waits for the settles under way, at least for a moment; the loop's time is `deadline`
        when those that have not got through are given up, and counted in the log."""
        if not self._tasks:
            return
        seconds = max(deadline - asyncio.get_running_loop().time(), LEAST_FINISH_SECONDS)
        _, pending = await asyncio.wait(self._tasks, timeout=seconds)
        if pending:
            log.error("%d settles did not get through before the shutdown", len(pending))
            for task in pending:
                task.cancel()

    def _start(self, settle: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(settle)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(
        self, tenant_id: str, user_id: str, hold_id: str, cost: int, ref: Ref
    ) -> None:
        """Repeats until it gets through: a hold settles once, its first reply is kept."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + SETTLE_SECONDS, 0.1
        while True:
            try:
                await self._meter.settle(tenant_id, user_id, "", hold_id, cost, "own", ref)
                return
            except InvalidApiKey:
                return  # the user has expired
            except Unavailable as error:
                if loop.time() > deadline:
                    log.error("Lost a settle of %d tokens: %s", cost, error.reason)
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _extend(self, tenant_id: str, user_id: str, hold_id: str) -> None:
        while True:
            await asyncio.sleep(EXTEND_SECONDS)
            try:
                await self._meter.extend(tenant_id, user_id, hold_id, HOLD_MS)
            except Unavailable:
                continue
            except UnknownHold:
                return  # Redis was away past the deadline; the settle charges all the same
