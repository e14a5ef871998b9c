"""Flow: small parts of a body, each handled in the moment in which it comes.

To wake a task for a part, through all the coroutines that wait for it, costs more than what is done
with most parts.
"""

import asyncio
from collections.abc import Callable

import aiohttp

from server.upstream.turns import LIGHT_BYTES


class Flow:
    """Of one body. `over`: False when `take` wants no more so, True when what comes next is not for
    it; or what `take` raised."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        content: aiohttp.StreamReader,
        take: Callable[[bytes], bool],
        wait_on: Callable[[], None],
    ) -> None:
        """`take` says whether it wants the next part so, too; `wait_on` is called if it does."""
        self.over: asyncio.Future[bool] = loop.create_future()
        self._content = content
        self._take = take
        self._wait_on = wait_on

    def pour(self) -> None:
        """Something may have come."""
        content = self._content
        if self.over.done():
            return
        if content._size > LIGHT_BYTES or content.exception() is not None:
            self.end()
        elif content._size:
            try:
                goes_on = self._take(content._read_nowait(-1))
            except Exception as error:
                self.over.set_exception(error)
                return
            if goes_on:
                self._wait_on()
            else:
                self.over.set_result(False)

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(True)
