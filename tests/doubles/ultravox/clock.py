"""A clock that stands still until it is told how much later it is."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

Action = Callable[[], None]


class Clock:
    def __init__(self) -> None:
        self.now = float(int(time.time()))
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    def at(self, seconds: float, action: Action) -> None:
        """In so many seconds from now."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), action))

    def soon(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Beside what goes on; `advance` waits for it."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        await self._settle()
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
            await self._settle()
        self.now = until

    async def _settle(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)


def iso(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
