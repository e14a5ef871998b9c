"""Published: what a login provider publishes, such as its keys, kept as long as it allows."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from server.login_providers.errors import LoginProviderFailed

log = logging.getLogger(__name__)

LEAST_SECONDS = 5 * 60
MOST_SECONDS = 24 * 60 * 60
PAUSE_SECONDS = 60
"""Until it is fetched again for want of something, or after a failure while there is an old one."""

T = TypeVar("T")


class Published(Generic[T]):
    """The newest that could be fetched and read; nothing else replaces it.

    `fetch` gives it and for how many seconds it holds, which is taken to be 5 minutes at least and
    24 hours at most; it raises LoginProviderFailed. `name` is for the log. One fetch at a time
    serves all who wait.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[tuple[T, float]]],
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._kept: T | None = None
        self._fresh_until = self._keep_until = self._try_again = self._want_again = -1.0
        self._under_way: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The one that holds. Where none can be fetched, it is the last one, for 24 hours from when
        that was. Raises LoginProviderFailed."""
        now, kept = monotonic(), self._kept
        if kept is not None and (
            now < self._fresh_until or now < min(self._keep_until, self._try_again)
        ):
            return kept
        try:
            return await self._fetch_once()
        except LoginProviderFailed:
            if self._kept is None or monotonic() >= self._keep_until:
                raise
            return self._kept

    async def get_newer(self) -> T:
        """As `get`, for who misses something in that; fetches at most once in a minute, as a
        stranger can ask for what there never was."""
        now = monotonic()
        if self._under_way is None:
            if now < self._want_again:
                return await self.get()
            self._want_again = now + PAUSE_SECONDS
        try:
            return await self._fetch_once()
        except LoginProviderFailed:
            return await self.get()

    async def _fetch_once(self) -> T:
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._fetch_and_keep())
            self._under_way.add_done_callback(self._end)
        # Whoever leaves takes it from nobody else.
        return await asyncio.shield(self._under_way)

    async def _fetch_and_keep(self) -> T:
        try:
            value, seconds = await self._fetch()
        except LoginProviderFailed as error:
            if monotonic() >= self._try_again:
                self._try_again = monotonic() + PAUSE_SECONDS
                log.warning("%s cannot be fetched: %s", self._name, error.reason)
            raise
        now = monotonic()
        self._kept = value
        self._fresh_until = now + min(max(seconds, LEAST_SECONDS), MOST_SECONDS)
        self._keep_until = now + MOST_SECONDS
        return value

    def _end(self, task: "asyncio.Task[T]") -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more
