"""Turns: the sockets of a loop share a little of each of its turns, whatever comes on all of them.

Who has more to read than there is time for waits in a queue, so that each gets its turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from weakref import WeakKeyDictionary

TURN_SECONDS = 0.01


class Turns:
    """Of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._end = 0.0
        self._is_begun = False

    def is_time(self) -> bool:
        """Is some left of this turn?"""
        now = monotonic()
        if not self._is_begun:
            self._begin(now)
        return now < self._end

    def wait(self, work: Callable[[], None]) -> None:
        """It is called in a later turn, once, and stops when there is no more time."""
        self._waiting.append(work)
        if not self._is_begun:
            self._begin(monotonic())

    def _begin(self, now: float) -> None:
        self._is_begun = True
        self._end = now + TURN_SECONDS
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_begun = False
        for _ in range(len(self._waiting)):
            if not self.is_time():
                return
            self._waiting.popleft()()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = Turns(loop)
    return found
