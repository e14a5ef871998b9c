"""Response: one of a session's, from the wish for it until it is settled."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from server.errors import Refusal
from server.metering.holding import Ending
from server.metering.results import Held, SettleResult
from server.voice.context import Mark
from server.voice.events import name_of
from server.voice.opening import Event
from server.voice.output import Output
from server.voice.terms import Need, Terms, Usage

OF_SESSION = b'{"response":{}}'
"""Of one that is as the session is."""


class Wish(NamedTuple):
    """`response`: what the client's event has of it, as JSON, which is as large as what it sent,
    and not as what that was parsed into; `mark`: where the context stood,
    None where it reads something else. `is_apart`: what it says does not go into the conversation.
    `event_id`: the client's own, None for none. `is_clients`: it asked for this itself; else the
    provider heard the end of a turn, or began by itself."""

    response: bytes
    need: Need
    mark: Mark | None
    is_apart: bool = False
    event_id: str | None = None
    is_clients: bool = False


class Response:
    def __init__(self, terms: Terms, wish: Wish, output: Output) -> None:
        self.wish = wish
        self.output = output
        self.response_id = ""
        """Once the provider has said that it is created."""
        self.limit = wish.need.output
        """Of its output, in tokens."""
        self.is_sent = False
        """The provider may have been asked for it."""
        self.is_cancelled = False
        self.was_cut = False
        """It was more than was held for it."""
        self.settled: SettleResult | None = None
        self._terms = terms
        self._over = asyncio.Event()
        self._usage: Usage | None = None
        self._outcome = "client_gone"
        self._held = 0
        self._is_free = False
        self._began = monotonic()

    async def live(self, send: Callable[[], None]) -> None:
        """Holds, has it sent, and settles when it is over. Raises Refusal if it is not covered:
        then it was not sent."""
        async with self._terms.hold(self.wish.need, self._end) as hold:
            self._begin(hold.held)
            self.is_sent = True
            send()
            await self._over.wait()
        self.settled = hold.settled

    async def adopt(self, cancel: Callable[[], None]) -> None:
        """As `live`, of one that runs already, which nobody asked for. Where it is not covered it
        is cancelled, and charged as far as the balance has it; then this raises the refusal."""
        hold = self._terms.hold(self.wish.need, self._end)
        hold.may_wait = False
        try:
            async with hold:
                self._begin(hold.held)
                await self._over.wait()
        except Refusal:
            cancel()
            await self._over.wait()
            self._terms.owe(await self._end())
            raise
        self.settled = hold.settled

    def _begin(self, held: Held) -> None:
        self._held = held.tokens
        self.limit = self._terms.limit(self.wish.need, held.tokens, held.policy)

    def created(self, response: Event) -> None:
        self.response_id = name_of(response.get("id"))

    def done(self, response: Event) -> Usage | None:
        """It is over; the usage, if the provider has reported it."""
        status = response.get("status")
        usage = self._terms.believed(response.get("usage"))
        if usage is not None and not _is_possible(usage, status, self.output.is_any):
            usage = None
        self._usage = usage
        self._is_free = status == "failed" and usage is None and not self.output.is_any
        failed = status == "failed"
        self._outcome = "provider_error" if failed else "completed"
        self._over.set()
        return usage

    def give_up(self, outcome: str) -> None:
        """Nothing more will be heard of it."""
        if not self._over.is_set():
            self._outcome = outcome
            self._is_free = not self.response_id
            self._over.set()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    async def _end(self) -> Ending:
        """What it costs."""
        terms = self._terms
        if self._is_free or not self.is_sent:
            ending = Ending(0, terms.ref(response=self.response_id))
        elif self._usage is not None:
            ending = terms.ending(self._usage, response=self.response_id)
        else:
            usage = Usage(self.wish.need.input, self.output.tokens, is_estimate=True)
            # It may have thought, and nobody has heard that.
            most = max(terms.cost(usage), self._held) if terms.endpoint.reasoning else None
            ending = terms.ending(usage, most, response=self.response_id)
        if self.is_sent:
            terms.report(self._outcome, monotonic() - self._began, ending.tokens)
        return ending


def _is_possible(usage: Usage, status: object, is_any: bool) -> bool:
    """No response is made of nothing, nor what was heard."""
    return (usage.output > 0 or not is_any) and (usage.input > 0 or status != "completed")
