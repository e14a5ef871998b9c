"""The double in a thread, and what a test says to it from any other."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

from aiohttp import web

from tests.doubles.in_thread import AppInThread
from tests.doubles.ultravox.app import create_app
from tests.doubles.ultravox.call import Call
from tests.doubles.ultravox.calls import Calls
from tests.doubles.ultravox.course import Course, Fault


class UltravoxDouble(AppInThread):
    """On a free port of 127.0.0.1 while the body of `with` runs."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = Calls()

    def make_app(self) -> web.Application:
        return create_app(self._calls)

    def script(self, key: str, *courses: Course) -> str:
        """How the calls with the API key `key` go, in turn; the last for all further ones.

        Gives the key.
        """
        self._do(lambda: self._calls.put(key, courses))
        return key

    def calls(self, key: str | None = None) -> list[Call]:
        """Those of a key, or all; the oldest first. Each goes on changing."""
        found = list(self._calls.all.values())
        return [call for call in found if key is None or call.key == key]

    def asked(self, key: str) -> int:
        """How many requests were made with it."""
        return self._calls.asked[key]

    def join(self, call: Call) -> None:
        """As a client does; without its socket."""
        self._do(lambda: self._calls.join(call))

    def hang_up(self, call: Call, reason: str = "hangup") -> None:
        """As a client does, or for another of Ultravox' reasons."""
        self._do(lambda: self._calls.end(call, reason))

    def delete(self, call: Call) -> None:
        """As its retention or the tenant does."""
        self._do(lambda: setattr(call, "deleted", True))

    def advance(self, seconds: float) -> None:
        """Lets so much time pass; what is due by then is done when it returns."""
        coroutine = self._calls.clock.advance(seconds)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def fault(
        self, key: str, of: Literal["create", "get", "send"], fault: Fault | None = None
    ) -> None:
        """Requests of this kind fail from now on; without a fault, no more."""

        def put() -> None:
            self._calls.faults.pop((key, of), None)
            if fault is not None:
                self._calls.faults[key, of] = fault

        self._do(put)

    def call_back(self, call: Call, event: str, secret: str | None = None, **members: Any) -> None:
        """Sends a callback, with other members of its call; signed with the secrets that were
        asked for, or another. Returns when it was answered."""
        shown = {**call.shown(), **members}
        body = json.dumps({"event": f"call.{event}", "call": shown}).encode()
        coroutine = self._calls.send(call, event, body, secret)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _do(self, action: Callable[[], None]) -> None:
        """In the double's thread; returns when it is done."""

        async def run() -> None:
            action()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()
