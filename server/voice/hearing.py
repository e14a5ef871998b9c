"""Hearing: what the provider makes of what the user says: items, and transcripts of these.

It begins with a transcript when something is committed, which may be before it says so, and bills
it also where nobody is left to hear of that.
"""

import asyncio
from contextlib import suppress
from typing import Any

from server.voice import events
from server.voice.config import Config
from server.voice.context import Context
from server.voice.host import Host
from server.voice.speech import Speech
from server.voice.tags import Tags
from server.voice.terms import Terms
from server.voice.transcripts import Transcripts

_REMEMBERED = 100


class Hearing:
    """Of one session."""

    def __init__(
        self,
        host: Host,
        terms: Terms,
        config: Config,
        context: Context,
        speech: Speech,
        transcripts: Transcripts,
        tags: Tags,
    ) -> None:
        self.speech = speech
        self._host = host
        self._seconds = terms.timeouts.heard
        self._config = config
        self._context = context
        self._transcripts = transcripts
        self._tags = tags
        self._ahead: dict[str, bool] = {}
        """Items of which more was said before it was said that they are there: whether each is the
        end of a turn."""
        self._is_over = False
        self._has_heard_all = asyncio.Event()

    def committed(self, item_id: Any) -> bool:
        """There is a new item: has the provider heard the end of a turn by itself? Raises
        Misbehaved."""
        name = events.name_of(item_id)
        is_turn = self._ahead.pop(name, None)
        return self._begin(name, self._config.transcript) if is_turn is None else is_turn

    def transcribing(self, item_id: Any) -> str:
        """Something is said of an item's transcript; the item's ID. Raises Misbehaved."""
        name = events.name_of(item_id)
        if name and not self._transcripts.know(name):
            self._ahead[name] = self._begin(name, self._config.transcript or 0)
            if len(self._ahead) > _REMEMBERED:
                del self._ahead[next(iter(self._ahead))]
        return name

    def transcribed(self, item_id: Any, usage: Any) -> None:
        """Raises Misbehaved."""
        self._transcripts.completed(self.transcribing(item_id), usage)

    def not_transcribed(self, item_id: Any) -> None:
        """Raises Misbehaved."""
        self._transcripts.failed(self.transcribing(item_id))

    def cleared(self) -> bool:
        """What was not committed by now is gone. False: the client has not asked for that."""
        self.speech.cleared()
        if self._is_over and not self.speech.is_being_cleared:
            self._has_heard_all.set()
        return not self._is_over

    def give_up(self) -> None:
        """The provider has gone."""
        self._has_heard_all.set()

    def end(self) -> None:
        """The session ends. What was committed by now the provider says before it answers this."""
        self._is_over = True
        if self._has_heard_all.is_set():
            return
        if self.speech.is_any and self._config.may_transcribe:
            self.speech.clear()
            self._host.ask({"type": "input_audio_buffer.clear", "event_id": self._tags.new()})
        else:
            self._has_heard_all.set()

    async def hear_out(self) -> None:
        """Until the provider has answered `end`, or does not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._has_heard_all.wait()

    async def finish(self) -> None:
        """Nothing more will be heard: until all transcripts are charged, or will be."""
        if (prompt := self._config.transcript) is not None:
            self._transcripts.begin_unheard(self.speech.unheard, prompt)
        await self._transcripts.finish()

    def _begin(self, name: str, prompt: int | None) -> bool:
        seconds, tokens, is_turn = self.speech.committed()
        self._context.add(tokens)
        if name and prompt is not None:
            self._transcripts.begin(name, seconds, prompt)
        return is_turn
