"""Patience: how long Redis is waited for, by a clock that stands still while the loop is held up.

A loop that comes back late finds its timers due before it has read what came meanwhile: by any
other clock it would call a Redis absent that has long answered.
"""

import asyncio
from math import inf
from time import monotonic
from types import TracebackType

from server import metrics

TURN_SECONDS = 0.05
# As much is usual where the machine is busy, and counts as waiting.
USUAL_SECONDS = 0.05


class Patience:
    """`seconds` are what a caller waits for Redis at most. Its clock is the system's until `start`,
    and begins anywhere."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due = inf
        """When the loop should come around."""
        self._held_up = 0.0
        """How long it was kept from that until now."""
        self._turn: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._turn is None:
            self._due = monotonic()
            self._come_around()

    def stop(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._turn, self._due = None, inf

    def now(self) -> float:
        stands_still_at = self._due + USUAL_SECONDS
        now = monotonic()
        return (now if now < stands_still_at else stands_still_at) - self._held_up

    def deadline(self) -> float:
        """Of a caller that comes now."""
        return self.now() + self.seconds

    def _come_around(self) -> None:
        now = monotonic()
        late = max(now - self._due, 0.0)
        metrics.loop_came_around(late)
        self._held_up += max(late - USUAL_SECONDS, 0.0)
        self._due = now + TURN_SECONDS
        self._turn = asyncio.get_running_loop().call_later(TURN_SECONDS, self._come_around)


class Until:
    """`async with Until(patience, deadline)` is asyncio.timeout_at by its clock."""

    __slots__ = ("_deadline", "_limit", "_loop", "_patience", "_timer")

    def __init__(self, patience: Patience, deadline: float) -> None:
        self._patience = patience
        self._deadline = deadline

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self._look()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _look(self) -> None:
        left = self._deadline - self._patience.now()
        if left > 0:
            # That the clock stood still is only known when it is late.
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._limit.reschedule(self._loop.time())
