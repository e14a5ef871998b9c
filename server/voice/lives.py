"""Lives: the responses of a session while they are held, each in a task of its own."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from server.errors import Refusal
from server.voice import events
from server.voice.host import Host
from server.voice.opening import BALANCE
from server.voice.response import Response
from server.voice.tags import Tags
from server.voice.terms import Terms

log = logging.getLogger(__name__)


class Lives:
    """The tasks survive what becomes of the session, as `holding` waits for them."""

    def __init__(self, host: Host, terms: Terms, tags: Tags) -> None:
        self.is_ending = False
        self._host = host
        self._terms = terms
        self._tags = tags
        self._tasks: dict[Response, asyncio.Task[None]] = {}

    def begin(
        self, response: Response, send: Callable[[Response], None], then: Callable[[], None]
    ) -> None:
        """Has it sent once it is held; `then` is called after that, or when it is refused."""
        self._run(response, self._ask(response, send, then))

    def adopt(self, response: Response) -> None:
        """One that runs already."""
        response.is_sent = True
        self._run(response, self._adopt(response))
        if self.is_ending:
            self.cancel(response)

    @property
    def number(self) -> int:
        """Of all that are not settled."""
        return len(self._tasks)

    def under_way(self) -> list[Response]:
        return [response for response in self._tasks if not response.is_over]

    def cancel(self, response: Response) -> None:
        """The provider has a moment to say what it came to."""
        if response.is_cancelled:
            return
        response.is_cancelled = True
        which = {"response_id": response.response_id} if response.response_id else {}
        self._host.ask({"type": "response.cancel", "event_id": self._tags.new(), **which})
        loop, seconds = asyncio.get_running_loop(), self._terms.timeouts.read_on
        loop.call_later(seconds, response.give_up, "client_gone")

    def give_up(self, outcome: str) -> None:
        """Nothing more will be heard of any."""
        for response in self.under_way():
            response.give_up(outcome)

    def stop(self) -> None:
        """No more are begun; those that wait for tokens do so no more."""
        self.is_ending = True
        for response, task in self._tasks.items():
            if not response.is_sent:
                task.cancel()

    def cancel_all(self) -> None:
        for response in self.under_way():
            self.cancel(response)

    async def finish(self, seconds: float) -> None:
        """Lets them run on for so long, and waits until all are settled. The provider may still
        begin some; for them it has no longer than for those that are cancelled now."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        self.cancel_all()
        until = monotonic() + self._terms.timeouts.read_on
        while self._tasks and (left := until - monotonic()) > 0:
            await asyncio.wait(self._tasks.values(), timeout=left)
        self.give_up("client_gone")
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _ask(
        self, response: Response, send: Callable[[Response], None], then: Callable[[], None]
    ) -> None:
        def begin() -> None:
            send(response)
            then()

        try:
            await response.live(begin)
        except Refusal as refusal:
            self._refuse(refusal, response.wish.event_id)
        finally:
            if not response.is_sent:
                then()

    async def _adopt(self, response: Response) -> None:
        try:
            await response.adopt(lambda: self.cancel(response))
        except Refusal as refusal:
            self._refuse(refusal, None)

    def _refuse(self, refusal: Refusal, event_id: str | None) -> None:
        self._host.tell(events.refused(refusal, event_id))
        self._host.heed(refusal, is_told=True)

    def _run(self, response: Response, life: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[response] = asyncio.create_task(life)
        self._terms.holding.wait_for(task)
        task.add_done_callback(lambda task: self._ended(response, task))

    def _ended(self, response: Response, task: asyncio.Task[None]) -> None:
        del self._tasks[response]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A response failed", exc_info=error)
        if response.settled is not None:
            self._host.charged(response.settled)
        if response.was_cut:
            self._host.end(BALANCE)
