"""A double in a thread of its own, for tests of any kind."""

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from tests.doubles.answer import Answer
from tests.doubles.app import create_app, listen
from tests.doubles.call import Call, Script


class Double:
    """A provider on a free port of 127.0.0.1 while the body of `with` runs.

    Calls without a key, and those of a key that has no script, get `default`.
    """

    url: str

    def __init__(self, default: Answer | None = None) -> None:
        self._script = Script(default or Answer())
        self._started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="double", daemon=True)

    def script(self, key: str, *answers: Answer) -> str:
        """The answers to prompts with `#<key>`, in turn; the last one for all further calls.

        Gives the prompt `#<key>`.
        """
        self._script.put(key, answers)
        return f"#{key}"

    def release(self, key: str) -> None:
        """Lets the streams of this key go on past their `stop_at`, now and later."""
        self._loop.call_soon_threadsafe(lambda: self._script.released[key].set())

    def calls(self, key: str | None = None) -> list[Call]:
        """Those of a key, or all; the oldest first. Each goes on changing until it has ended."""
        return self._script.calls(key)

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
        runner, url = await listen(create_app(self._script), 0)
        stop = asyncio.Event()
        self._started.set_result((url, asyncio.get_running_loop(), stop))
        try:
            await stop.wait()
        finally:
            await runner.cleanup()
