"""A double in a thread, and what a test says to it from any other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from tests.doubles.in_thread import InThread
from tests.doubles.listen import Listening
from tests.doubles.realtime.record import Script, Session
from tests.doubles.realtime.server import Realtime
from tests.doubles.realtime.service import ENDS, End, Service, Turn
from tests.doubles.realtime.talking import Talking


class RealtimeDouble(InThread):
    """A provider on a free port of 127.0.0.1 while the body of `with` runs.

    Sessions of a key that has no script get `default`.
    """

    def __init__(self, default: Service | None = None) -> None:
        super().__init__()
        self._script = Script(default or Service())

    async def start(self) -> Listening:
        self._realtime = Realtime(self._script)
        return await self._realtime.listen(0)

    @property
    def handshakes(self) -> int:
        """That were begun, also those that were refused."""
        return self._script.handshakes

    def script(self, key: str, *services: Service) -> str:
        """How the sessions of the model `key` go, in turn; the last one for all further ones.

        Gives the key.
        """
        self._script.put(key, services)
        return key

    def sessions(self, key: str | None = None) -> list[Session]:
        """Those of a key, or all; of one key the oldest first."""
        return self._script.sessions(key)

    def used(self, key: str | None = None) -> int:
        """What the provider bills for them up to now, in tokens."""
        return sum(session.used for session in self.sessions(key))

    def release(self, key: str) -> None:
        """Lets the responses of this key go on past their `stop_at`, now and later."""
        self._loop.call_soon_threadsafe(lambda: self._realtime.released[key].set())

    def begin(self, key: str, turn: Turn | None = None) -> None:
        """A response that nobody asked for; the next of the turns unless one is given."""
        self._with_each(key, lambda talking: talking.begin(turn))

    def say(self, key: str, message: dict[str, Any] | str | bytes) -> None:
        """An event, or any other message."""
        raw = orjson.dumps(message).decode() if isinstance(message, dict) else message
        self._await_each(key, lambda talking: talking.wire.send_raw(raw))

    def end(self, key: str, end: str | End) -> None:
        """As one of ENDS, or another."""
        this = ENDS[end] if isinstance(end, str) else end
        self._await_each(key, lambda talking: talking.wire.end(this))

    def cut(self, key: str) -> None:
        """Resets the connections."""
        self._with_each(key, lambda talking: talking.wire.reset())

    def deafen(self, key: str) -> None:
        """Reads nothing more, so that not even a ping is answered."""
        self._with_each(key, lambda talking: talking.wire.deafen())

    def _await_each(self, key: str, do: Callable[[Talking], Awaitable[None]]) -> None:
        async def run() -> None:
            await asyncio.gather(*map(do, self._realtime.talking[key]), return_exceptions=True)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _with_each(self, key: str, do: Callable[[Talking], None]) -> None:
        """Returns when it is done; each session of the key that runs."""

        async def run() -> None:
            for talking in list(self._realtime.talking[key]):
                do(talking)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()
