"""A double in a thread of its own, for tests of any kind."""

import asyncio
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.doubles.listen import Listening, listen


class InThread(ABC):
    """A server on a free port of 127.0.0.1 while the body of `with` runs."""

    url: str

    def __init__(self) -> None:
        self._started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="double", daemon=True)

    @abstractmethod
    async def start(self) -> Listening: ...

    def __enter__(self) -> Self:
        self._thread.start()
        self.url, self._loop, self._stop = self._started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends what is still being answered."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
            raise

    async def _serve(self) -> None:
        url, end = await self.start()
        stop = asyncio.Event()
        self._started.set_result((url, asyncio.get_running_loop(), stop))
        try:
            await stop.wait()
        finally:
            await end()


class AppInThread(InThread):
    """One that is a web application."""

    @abstractmethod
    def make_app(self) -> web.Application: ...

    async def start(self) -> Listening:
        return await listen(self.make_app(), 0)
