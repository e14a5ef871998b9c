"""Lease: what this worker has of one limit of one tenant."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from server.errors import Refusal
from server.store.store import Store

log = logging.getLogger(__name__)


class Lease:
    """What block.py and slots.py share. `limit` is the tenant's, set before each use."""

    limit = 0

    def __init__(self, store: Store, key: str, active: set["Lease"]) -> None:
        """`active`: where it puts itself while it has something to give back."""
        self._store = store
        self._key = key
        self._active = active
        self._until = 0.0
        """The lease's end, on the clock of monotonic(): early by what Redis took to answer."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def look(self) -> None:
        """Once a second: gives back what is not needed."""
        raise NotImplementedError

    async def give_all_back(self) -> None:
        """At the end of the worker."""
        raise NotImplementedError

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Refusal):
            log.error("A limit of a tenant's could not be counted", exc_info=error)
