"""LargeBodies: how many large requests a worker has in memory at a time.

A body of 10 MiB is there for as long as its call lasts, and in passing two or three times. Without
a bound, one user's uploads could take all of a pod's memory, and with the pod every stream in it.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

from server.errors import Overloaded

SMALL_BYTES = 1024 * 1024
"""Bodies up to this are not counted."""


class LargeBodies:
    """Of one worker, together at most `room` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def admit(self, size: int) -> "LargeBody":
        """For a body of `size` bytes, while the body of `with` runs. Raises Overloaded."""
        if size <= SMALL_BYTES:
            return _NOT_COUNTED
        if size > self.room:
            raise Overloaded
        return LargeBody(self, size)


class LargeBody:
    """One that was admitted."""

    def __init__(self, bodies: LargeBodies, size: int) -> None:
        self._bodies = bodies
        self._size = size
        self._bodies.room -= size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shrink_to(0)

    def shrink_to(self, size: int) -> None:
        """It is smaller than was announced, or gone."""
        size = 0 if size <= SMALL_BYTES else size
        self._bodies.room += self._size - size
        self._size = size

    def keep_until(self, task: "asyncio.Task[Any]") -> None:
        """It stays in memory until `task` has ended, and not only until the end of `with`."""
        bodies, size, self._size = self._bodies, self._size, 0

        def give_back(_: object) -> None:
            bodies.room += size

        if size:
            task.add_done_callback(give_back)


_NOT_COUNTED = LargeBody(LargeBodies(0), 0)
