"""Responses: those of one session, found again in what the provider says of them.

Each that is asked for has a tag in its metadata, which the provider repeats; one without was not
asked for, and is held as soon as it is seen.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from server.metering.errors import TooManyCalls
from server.providers.reading import an_object
from server.voice import audio, events
from server.voice.config import Config
from server.voice.context import Context
from server.voice.host import Host
from server.voice.lives import Lives
from server.voice.message import Misbehaved
from server.voice.opening import Event
from server.voice.output import Output
from server.voice.response import OF_SESSION, Response, Wish
from server.voice.tags import Tags, tag_of, tagged
from server.voice.terms import Need, Terms

MOST_AT_A_TIME = 4
MOST_UNASKED = 20
"""Under way, or being settled: each is asked of Redis, and takes memory."""
_TURN_TOKENS = 4
"""Around what was said, when it is read again."""
_REMEMBERED = 100
"""IDs of responses that are over: a provider may say so twice."""


class Responses:
    def __init__(self, host: Host, terms: Terms, config: Config, context: Context) -> None:
        self.tags = Tags()
        self.lives = Lives(host, terms, self.tags)
        self._host = host
        self._terms = terms
        self._config = config
        self._context = context
        self._asked: dict[str, Response] = {}
        """By their tags, those that the provider has not said to be created."""
        self._running: dict[str, Response] = {}
        """By the provider's IDs."""
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def is_talking(self) -> bool:
        """Is one under way that goes into the conversation?"""
        return any(not one.wish.is_apart for one in self.lives.under_way())

    @property
    def being_said(self) -> int:
        """Tokens of what goes into the conversation, and no report has yet."""
        running = self._running.values()
        return sum(one.output.tokens for one in running if not one.wish.is_apart)

    def begin(self, wish: Wish, then: Callable[[], None]) -> None:
        """Holds, and asks the provider; `then` is called once that is done, or refused. Raises
        TooManyCalls."""
        if self.lives.is_ending:
            return
        if len(self.lives.under_way()) >= MOST_AT_A_TIME:
            raise TooManyCalls
        self.lives.begin(Response(self._terms, wish, self._output({})), self._send, then)

    def created(self, event: Event) -> None:
        said = an_object(event.get("response"))
        tag = tag_of(said)
        response = self._asked.pop(tag, None)
        if response is None and self._is_known(events.name_of(said.get("id"))):
            return  # said twice
        if response is None and self._asked and not tag:  # to a provider that forgets metadata
            response = self._asked.pop(next(iter(self._asked)))
        self._run(response, said)

    def produced(self, kind: str, event: Event) -> None:
        """A delta of one."""
        response = self._running.get(events.name_of(event.get("response_id")))
        if response is not None:
            response.output.see(kind, event)
            self._bound(response)

    def spoke(self, response_id: str, size: int) -> None:
        """A delta of one, of so many bytes of audio."""
        response = self._running.get(response_id)
        if response is not None:
            response.output.hear(size)
            self._bound(response)

    def _bound(self, response: Response) -> None:
        if not response.was_cut and response.output.exceeds(response.limit):
            response.was_cut = True
            self.lives.cancel(response)

    def done(self, event: Event) -> bool:
        """False for one that was over."""
        said = an_object(event.get("response"))
        response_id = events.name_of(said.get("id"))
        if response_id not in self._running:
            if response_id in self._recent:
                return False
            self._run(self._asked.pop(tag_of(said), None), said)
        response = self._running.pop(response_id)
        self._recent.append(response_id)
        usage, wish = response.done(said), response.wish
        if not wish.is_apart:
            self._context.add(_TURN_TOKENS)
        # One that was cancelled before it read anything has not read the conversation.
        if usage is not None and usage.input and wish.mark is not None:
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

    def _is_known(self, response_id: str) -> bool:
        """Does it run, or has it?"""
        return response_id in self._running or response_id in self._recent

    def _send(self, response: Response) -> None:
        tag = self.tags.new()
        asked = orjson.loads(response.wish.response)["response"]
        response.wish = response.wish._replace(response=OF_SESSION)  # it may run long
        members = {**asked, "max_output_tokens": response.limit}
        self._asked[tag] = response
        self._host.ask(
            {"type": "response.create", "event_id": tag, "response": tagged(members, tag)}
        )
        loop = asyncio.get_running_loop()
        loop.call_later(self._terms.timeouts.created, self._never_created, tag)

    def _never_created(self, tag: str) -> None:
        if (response := self._asked.pop(tag, None)) is not None:
            response.give_up("provider_timeout")

    def _run(self, response: Response | None, said: Event) -> None:
        """It has begun, also one that nobody has asked for."""
        is_new = response is None
        if response is None:
            self._check_number()
            need = Need(self._context.tokens, self._terms.most_output, 1)
            wish = Wish(OF_SESSION, need, self._context.mark())
            response = Response(self._terms, wish, Output(1, 1))
        response.output = self._output(said)
        response.created(said)
        self._running[response.response_id] = response
        if is_new:
            self.lives.adopt(response)

    def _check_number(self) -> None:
        """May there be one more? Raises Misbehaved."""
        if self.lives.number >= MOST_UNASKED:
            raise Misbehaved("more responses than anybody has asked for")
        if len(self._running) >= MOST_UNASKED:
            for response_id in [name for name, one in self._running.items() if one.is_over]:
                del self._running[response_id]
                self._recent.append(response_id)

    def _output(self, said: Event) -> Output:
        """For one whose audio is as the session's, or as the provider says of it."""
        spoken = an_object(an_object(said.get("audio")).get("output"))
        rate = self._config.output_rate
        if "format" in spoken:
            rate = audio.bytes_a_second(spoken["format"])
        return Output(rate, self._config.speed)
