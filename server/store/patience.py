"""Patience: how long Redis is waited for, by a clock that stands still while the loop is held up.

A loop that comes back late finds its timers due before it has read what came meanwhile: by any
other clock it would call a Redis absent that has long answered.
"""

import asyncio
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Self

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
        self._stands_still_at = inf
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
        self._turn, self._due, self._stands_still_at = None, inf, inf

    def now(self) -> float:
        now = monotonic()
        return (now if now < self._stands_still_at else self._stands_still_at) - self._held_up

    def deadline(self) -> float:
        """Of a caller that comes now."""
        return self.now() + self.seconds

    def _come_around(self) -> None:
        now = monotonic()
        late = max(now - self._due, 0.0)
        metrics.loop_came_around(late)
        self._held_up += max(late - USUAL_SECONDS, 0.0)
        self._due = now + TURN_SECONDS
        self._stands_still_at = self._due + USUAL_SECONDS
        self._turn = asyncio.get_running_loop().call_later(TURN_SECONDS, self._come_around)


class Limit:
    """Of all that one task waits for: `with limit.until(deadline)` is asyncio.timeout_at by the
    clock of `patience`. A timer for each time would cost as much as a command."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._task: asyncio.Task[Any] | None = None
        self._deadline = inf
        self._due = inf
        """When it is looked at next."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def until(self, deadline: float) -> Self:
        self._deadline = deadline
        return self

    def __enter__(self) -> None:
        if self._task is None:
            self._task = asyncio.current_task()
        if self._timer is None or self._deadline < self._due:
            self._look_later()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadline = inf
        if self._is_over:
            self._is_over = False
            assert self._task is not None
            if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look_later(self) -> None:
        self.stop()
        assert self._task is not None
        self._due = self._deadline
        # Never at once: a task that is cancelled while it runs would notice after the wait.
        seconds = max(self._deadline - self._patience.now(), 0.0)
        self._timer = self._task.get_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline == inf:
            return  # nothing is waited for
        if self._patience.now() < self._deadline:
            # It was set for one before; or the clock stood still, which is only known when late.
            self._look_later()
            return
        assert self._task is not None
        self._is_over = True
        self._task.cancel()
