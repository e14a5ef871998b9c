"""Responses: those of one session, found again in what the provider says of them.

Each that is asked for has a tag in its metadata, which the provider repeats; one without was not
asked for, and is held as soon as it is seen.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from random import getrandbits
from typing import Any, Protocol

from server.errors import InvalidApiKey, Refusal, Unavailable
from server.metering.errors import PaymentRequired, TooManyCalls
from server.providers.reading import an_object
from server.voice import audio, events
from server.voice.config import Config
from server.voice.context import Context
from server.voice.opening import BALANCE, REVOKED, Cause, Event
from server.voice.output import Output
from server.voice.response import Response, Wish
from server.voice.terms import Need, Terms

log = logging.getLogger(__name__)

MOST_AT_A_TIME = 4
MOST_PAIRS = 15
"""Of metadata that are the client's; one more is ours."""
_TAG = "vibe_response"
_TURN_TOKENS = 4
"""Around what was said, when it is read again."""
_REMEMBERED = 100
"""IDs of responses that are over: a provider may say so twice."""


class Host(Protocol):
    """The session, for its parts."""

    def ask(self, event: Event) -> None:
        """Sends it to the provider."""

    def tell(self, event: Event) -> None:
        """Sends it to the client."""

    def end(self, cause: Cause, is_told: bool = False) -> None:
        """`is_told`: the client has had its `error`."""

    def missed(self) -> None:
        """Redis has not answered."""


class Responses:
    def __init__(self, host: Host, terms: Terms, config: Config, context: Context) -> None:
        self._host = host
        self._terms = terms
        self._config = config
        self._context = context
        self._prefix = f"vibe_{getrandbits(64):016x}_"
        self._count = 0
        self._lives: dict[Response, asyncio.Task[None]] = {}
        """All that are not settled."""
        self._asked: dict[str, Response] = {}
        """By their tags, those that the provider has not said to be created."""
        self._running: dict[str, Response] = {}
        """By the provider's IDs."""
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)
        self._is_ending = False

    @property
    def is_talking(self) -> bool:
        """Is one under way that goes into the conversation?"""
        return any(not one.wish.is_apart for one in self._under_way())

    def begin(self, wish: Wish, then: Callable[[], None]) -> None:
        """Holds, and asks the provider; `then` is called once that is done, or refused. Raises
        TooManyCalls."""
        if self._is_ending:
            return
        if len(self._under_way()) >= MOST_AT_A_TIME:
            raise TooManyCalls
        response = Response(self._terms, wish, self._output({}))
        self._live(response, self._ask(response, then))

    # What the provider says.

    def created(self, event: Event) -> None:
        said = an_object(event.get("response"))
        tag = _tag(said)
        response = self._asked.pop(tag, None)
        if response is None and self._asked and not tag:  # to a provider that forgets metadata
            response = self._asked.pop(next(iter(self._asked)))
        self._run(response, said)

    def produced(self, kind: str, event: Event) -> None:
        """A delta of one."""
        response = self._running.get(events.name_of(event.get("response_id")))
        if response is None:
            return
        response.output.see(kind, event)
        if not response.was_cut and response.output.exceeds(response.limit):
            response.was_cut = True
            self._cancel(response)

    def done(self, event: Event) -> bool:
        """False for one that was over."""
        said = an_object(event.get("response"))
        response_id = events.name_of(said.get("id"))
        if response_id not in self._running:
            if response_id in self._recent:
                return False
            self._run(self._asked.pop(_tag(said), None), said)
        response = self._running.pop(response_id)
        self._recent.append(response_id)
        usage, wish = response.done(said), response.wish
        if not wish.is_apart:
            self._context.add(_TURN_TOKENS)
        if usage is not None and wish.mark is not None:
            self._context.report(wish.mark, usage.input + usage.output)
        elif not wish.is_apart:
            self._context.add(usage.output if usage else response.output.tokens)
        return True

    def failed(self, event_id: Any) -> Wish | None:
        """The provider has refused the event of this ID: the wish that it was for."""
        response = self._asked.pop(event_id, None) if isinstance(event_id, str) else None
        if response is None:
            return None
        response.give_up("provider_refused")
        return response.wish

    def is_ours(self, event_id: Any) -> bool:
        """Is it the ID of an event that the client did not send?"""
        return isinstance(event_id, str) and event_id.startswith(self._prefix)

    def new_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    # Their ends.

    def give_up(self, outcome: str) -> None:
        """Nothing more will be heard of any."""
        for response in self._under_way():
            response.give_up(outcome)

    def stop(self) -> None:
        """No more are begun; those that wait for tokens do so no more."""
        self._is_ending = True
        for response, life in self._lives.items():
            if not response.is_sent:
                life.cancel()

    def cancel(self) -> None:
        """Those that run have a moment to say what they came to."""
        for response in self._under_way():
            self._cancel(response)

    async def finish(self, seconds: float) -> None:
        """Lets them run on for so long, and waits until all are settled."""
        if self._lives:
            await asyncio.wait(self._lives.values(), timeout=seconds)
        self.cancel()
        while self._lives:  # the provider may still begin some
            await asyncio.wait(self._lives.values())

    # How each lives.

    async def _ask(self, response: Response, then: Callable[[], None]) -> None:
        try:
            await response.live(lambda: self._send(response, then))
        except Refusal as refusal:
            self._refuse(refusal, response.wish.event_id)
        finally:
            if not response.is_sent:
                then()

    async def _adopt(self, response: Response) -> None:
        try:
            await response.adopt(lambda: self._cancel(response))
        except Refusal as refusal:
            self._refuse(refusal, None)

    def _live(self, response: Response, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._lives[response] = task
        self._terms.holding.wait_for(task)
        task.add_done_callback(lambda task: self._forget(response, task))

    def _forget(self, response: Response, life: asyncio.Task[None]) -> None:
        del self._lives[response]
        if not life.cancelled() and (error := life.exception()) is not None:
            log.error("A response failed", exc_info=error)
        settled = response.settled
        if settled is not None:
            self._terms.spent += settled.tokens
            self._host.tell(events.balance(self._terms.spent, settled.tokens_left))
        if response.was_cut:
            self._host.end(BALANCE)

    def _send(self, response: Response, then: Callable[[], None]) -> None:
        tag, wish = self.new_id(), response.wish
        members = {
            **wish.members,
            "max_output_tokens": response.limit,
            "metadata": {**an_object(wish.members.get("metadata")), _TAG: tag},
        }
        self._asked[tag] = response
        self._host.ask({"type": "response.create", "event_id": tag, "response": members})
        self._later(self._terms.timeouts.created, self._never_created, tag)
        then()

    def _never_created(self, tag: str) -> None:
        if (response := self._asked.pop(tag, None)) is not None:
            response.give_up("provider_timeout")

    def _cancel(self, response: Response) -> None:
        """The provider has a moment to say what it came to."""
        if response.is_cancelled:
            return
        response.is_cancelled = True
        which = {"response_id": response.response_id} if response.response_id else {}
        self._host.ask({"type": "response.cancel", "event_id": self.new_id(), **which})
        self._later(self._terms.timeouts.read_on, response.give_up, "client_gone")

    def _run(self, response: Response | None, said: Event) -> None:
        """It has begun, also one that nobody has asked for."""
        is_new = response is None
        if response is None:
            need = Need(self._context.tokens, self._terms.most_output, 1)
            response = Response(self._terms, Wish({}, need, self._context.mark()), Output(1, 1))
        response.output = self._output(said)
        response.created(said)
        self._running[response.response_id] = response
        if is_new:
            self._live(response, self._adopt(response))
            if self._is_ending:
                self._cancel(response)

    def _refuse(self, refusal: Refusal, event_id: str | None) -> None:
        self._host.tell(events.refused(refusal, event_id))
        if isinstance(refusal, PaymentRequired):
            self._host.end(BALANCE, is_told=True)
        elif isinstance(refusal, InvalidApiKey):
            self._host.end(REVOKED, is_told=True)
        elif isinstance(refusal, Unavailable):
            self._host.missed()

    def _under_way(self) -> list[Response]:
        return [response for response in self._lives if not response.is_over]

    def _output(self, said: Event) -> Output:
        """For one whose audio is as the session's, or as the provider says of it."""
        spoken = an_object(an_object(said.get("audio")).get("output"))
        rate = self._config.output_rate
        if "format" in spoken:
            rate = audio.bytes_a_second(spoken["format"])
        return Output(rate, self._config.speed)

    def _later(self, seconds: float, act: Callable[[str], None], of: str) -> None:
        asyncio.get_running_loop().call_later(seconds, act, of)


def without_tag(event: Event) -> bool:
    """Takes ours out of an event's response; False if there was none."""
    said = an_object(event.get("response"))
    metadata = said.get("metadata")
    if not isinstance(metadata, dict) or _TAG not in metadata:
        return False
    del metadata[_TAG]
    said["metadata"] = metadata or None
    return True


def _tag(said: Event) -> str:
    tag = an_object(said.get("metadata")).get(_TAG)
    return tag if isinstance(tag, str) else ""
