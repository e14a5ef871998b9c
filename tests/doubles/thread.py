"""A double in a thread of its own, for tests of any kind."""

from aiohttp import web

from tests.doubles.answer import Answer
from tests.doubles.app import create_app
from tests.doubles.call import Call, Script
from tests.doubles.in_thread import AppInThread


class Double(AppInThread):
    """A provider on a free port of 127.0.0.1 while the body of `with` runs.

    Calls without a key, and those of a key that has no script, get `default`.
    """

    def __init__(self, default: Answer | None = None) -> None:
        super().__init__()
        self._script = Script(default or Answer())

    def make_app(self) -> web.Application:
        return create_app(self._script)

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
