"""Transcripts: what is said is written down beside the responses, and billed by itself.

The provider begins with each item that is committed, so that all that can be done about one that
the balance does not cover is to charge what is there, and to end the session. While some are not
held yet, the client waits with more.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any

from server.amounts import is_amount
from server.errors import Refusal
from server.metering.holding import Ending
from server.metering.results import SettleResult
from server.providers.reading import an_object
from server.voice.host import Host
from server.voice.message import Misbehaved
from server.voice.terms import Need, Terms, Usage

TOKENS_A_SECOND = 15
TOKENS_AN_ITEM = 20
MOST_UNHELD = 4
"""At a time, of those that run already."""
MOST_AT_A_TIME = 100
"""Each is asked of Redis, and takes memory."""
_REMEMBERED = 100
_LONGEST_SECONDS = 1_000_000

log = logging.getLogger(__name__)


class Transcript:
    """Of one item."""

    def __init__(self, item_id: str, tokens: int, terms: Terms) -> None:
        """`tokens`: as an estimate."""
        self.item_id = item_id
        self.is_decided = False
        """It is held, or refused."""
        self.need = Need(tokens, 0, 0)
        self._terms = terms
        self._usage = Usage(self.need.input, 0, is_estimate=True)
        self._over = asyncio.Event()
        self._began = monotonic()

    async def live(self, decided: Callable[[Refusal | None], None]) -> SettleResult | None:
        """Holds until the transcript is there, and settles. `decided` is called when it is held, or
        refused: then it is charged all the same, as far as the balance has it; also one that is
        cancelled."""
        is_held = False
        try:
            async with self._terms.hold(self.need, self._end) as hold:
                is_held = self.is_decided = True
                decided(None)
                await self._wait()
            return hold.settled
        except Refusal as refusal:
            self.is_decided = True
            decided(refusal)
            await self._wait()
            return None
        finally:
            if not is_held:
                self._terms.owe(self._ending())

    def end(self, usage: Usage | None) -> None:
        """None: nobody has said what it came to."""
        if not self._over.is_set():
            self._usage = usage or self._usage
            self._over.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._terms.timeouts.transcribed):
                await self._over.wait()
        except TimeoutError:
            self.end(None)

    async def _end(self) -> Ending:
        return self._ending()

    def _ending(self) -> Ending:
        ending = self._terms.ending(self._usage, item=self.item_id)
        self._terms.report("completed", monotonic() - self._began, ending.tokens)
        return ending


class Transcripts:
    """Of one session."""

    def __init__(self, host: Host, terms: Terms, hold_up: Callable[[bool], None]) -> None:
        """`hold_up`: what comes next from the client waits, or does no more."""
        self._host = host
        self._terms = terms
        self._hold_up = hold_up
        self._open: dict[str, Transcript] = {}
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()

    def know(self, name: str) -> bool:
        """Is it under way, or was it?"""
        return name in self._open or name in self._recent

    def begin(self, name: str, seconds: float, prompt: int) -> None:
        """What was said is an item now, of this ID; `prompt`: tokens that are read besides. Raises
        Misbehaved."""
        if not self.know(name):
            self._begin(name, _estimate(seconds, prompt))
            if len(self._tasks) > MOST_AT_A_TIME:
                raise Misbehaved("more transcripts than there can be at a time")

    def begin_unheard(self, seconds: list[float], prompt: int) -> None:
        """Of items whose IDs nobody will hear: one for all of them."""
        if seconds:
            self._begin("", sum(_estimate(each, prompt) for each in seconds))

    def completed(self, name: str, usage: Any) -> None:
        if name in self._open:
            self._open[name].end(self._reported(usage))

    def failed(self, name: str) -> None:
        """It costs nothing."""
        if name in self._open:
            self._open[name].end(Usage(0, 0))

    async def finish(self) -> None:
        """The session is over: nothing more will be heard. Those that lack tokens which others hold
        wait for them without it."""
        for transcript in self._open.values():
            transcript.end(None)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._terms.timeouts.heard)

    def _begin(self, name: str, tokens: int) -> None:
        transcript = self._open[name] = Transcript(name, tokens, self._terms)
        self._look()
        task = asyncio.create_task(self._live(transcript))
        self._terms.holding.wait_for(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, transcript: Transcript) -> None:
        try:
            settled = await transcript.live(self._decided)
        finally:
            del self._open[transcript.item_id]
            self._recent.append(transcript.item_id)
            self._look()
        if settled is not None:
            self._host.charged(settled)

    def _decided(self, refusal: Refusal | None) -> None:
        self._look()
        if refusal is not None:
            self._host.heed(refusal)

    def _look(self) -> None:
        unheld = sum(not transcript.is_decided for transcript in self._open.values())
        self._hold_up(unheld >= MOST_UNHELD)

    def _reported(self, value: Any) -> Usage | None:
        said = an_object(value)
        if said.get("type") != "duration":
            return self._terms.believed(said)
        seconds = said.get("seconds")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_SECONDS:
            return None
        tokens = ceil(seconds * self._terms.endpoint.transcription_tokens_per_second)
        return Usage(tokens, 0) if is_amount(tokens) else None


def _estimate(seconds: float, prompt: int) -> int:
    return ceil(seconds * TOKENS_A_SECOND) + TOKENS_AN_ITEM + prompt
