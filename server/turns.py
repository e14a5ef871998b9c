"""Turns: what comes is worked on for a moment in each turn of the loop, and then all else has its
turn."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from time import monotonic

TURN_SECONDS = 0.003
"""In each turn of the loop; then nothing more is begun that could take long."""


class Turns:
    """Of a loop, shared by many connections: hundreds can send at the same moment what takes
    milliseconds each. Who has to wait does so in line with those of the same owner, and the owners
    take turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._has_begun = False
        self._end = 0.0
        self._lines: dict[Hashable, deque[Callable[[], None]]] = {}

    @property
    def is_over(self) -> bool:
        """Has enough been done in this turn of the loop?"""
        if self._has_begun:
            return monotonic() > self._end
        self._begin()
        return False

    def later(self, owner: Hashable, work: Callable[[], None]) -> None:
        """Calls `work` when it is its turn."""
        if not self._has_begun:
            self._begin()
        self._lines.setdefault(owner, deque()).append(work)

    async def wait(self, owner: Hashable) -> None:
        """Until it is the caller's turn, which is the only one then."""
        turn = self.loop.create_future()

        def give() -> None:
            if not turn.done():
                turn.set_result(None)
                self._end = 0

        self.later(owner, give)
        await turn

    def _begin(self) -> None:
        self._has_begun = True
        self._end = monotonic() + TURN_SECONDS
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._lines:
            self._has_begun = False
            return
        self._begin()
        for owner in list(self._lines):
            line = self._lines.pop(owner)
            work = line.popleft()
            if line:
                self._lines[owner] = line  # behind the others
            work()
            if self.is_over:
                break
