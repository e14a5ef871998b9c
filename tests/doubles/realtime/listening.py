"""The audio that a session's client appends: speech, items and their transcripts."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.doubles.realtime.conversation import Conversation, heard, new_id
from tests.doubles.realtime.hearing import RATES, Ear
from tests.doubles.realtime.record import Session
from tests.doubles.realtime.service import Service, Transcript
from tests.doubles.realtime.settings import Invalid, Settings
from tests.doubles.realtime.wire import Wire

_LEAST_SECONDS = 0.1


class Listening:
    """`began` and `ended` are called when speech begins, and when an item has been made of it."""

    def __init__(
        self,
        wire: Wire,
        service: Service,
        conversation: Conversation,
        record: Session,
        began: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._send = wire.send
        self._transcripts = list(service.transcripts)
        self._conversation = conversation
        self._record = record
        self._began, self._ended = began, ended
        self._ear = Ear()
        self._bytes = 0
        self._began_ms = 0
        self._item_id = new_id("item")
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, audio: bytes, settings: Settings) -> None:
        """`settings`: of the session's input."""
        self._bytes += len(audio)
        detection = settings["turn_detection"]
        if detection is None:
            return
        for change in self._ear.hear(audio, settings["format"]["type"], detection):
            kind = "started" if change.speaks else "stopped"
            at = {"audio_start_ms" if change.speaks else "audio_end_ms": change.at_ms}
            name = f"input_audio_buffer.speech_{kind}"
            await self._send(name, item_id=self._item_id, **at)
            if change.speaks:
                self._began_ms = change.at_ms
                self._began()
            else:
                await self._commit((change.at_ms - self._began_ms) / 1000, settings)
                self._ended()

    async def commit(self, settings: Settings) -> None:
        """What was appended since the last one. Raises Invalid."""
        seconds = self._bytes / RATES[settings["format"]["type"]]
        if seconds < _LEAST_SECONDS:
            message = f"buffer too small: it has {1000 * seconds:.2f}ms of audio, not 100ms"
            raise Invalid("input_audio_buffer_commit_empty", message)
        self._ear = Ear()
        await self._commit(seconds, settings)

    def clear(self) -> None:
        self._bytes = 0
        self._ear = Ear()

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _commit(self, seconds: float, settings: Settings) -> None:
        self._bytes = 0
        item_id, self._item_id = self._item_id, new_id("item")
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        previous = self._conversation.add(item, 2 + heard(seconds))
        place: dict[str, Any] = {"previous_item_id": previous}
        await self._send("input_audio_buffer.committed", **place, item_id=item_id)
        for state in ("added", "done"):
            await self._send(f"conversation.item.{state}", **place, item=item)
        if settings["transcription"]:
            self._record.items.append(item_id)
            later = len(self._transcripts) > 1
            transcript = self._transcripts.pop(0) if later else self._transcripts[0]
            task = asyncio.create_task(self._transcribe(item_id, seconds, transcript))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _transcribe(self, item_id: str, seconds: float, transcript: Transcript) -> None:
        name = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0}
        await asyncio.sleep(transcript.delay)
        with suppress(ConnectionClosed):
            if transcript.fails:
                error = {"type": "server_error", "code": "audio_unintelligible", "param": None}
                message = "The audio could not be transcribed."
                await self._send(f"{name}.failed", **where, error={**error, "message": message})
                return
            usage = self._bill(seconds, transcript)
            if transcript.comes:
                await self._send(f"{name}.delta", **where, delta=transcript.text)
                said = {"transcript": transcript.text, **usage}
                await self._send(f"{name}.completed", **where, **said)

    def _bill(self, seconds: float, transcript: Transcript) -> dict[str, Any]:
        asked = heard(seconds)
        if transcript.usage == "duration":
            self._record.transcribed += asked
            return {"usage": {"type": "duration", "seconds": seconds}}
        if transcript.input_tokens is not None:
            asked = transcript.input_tokens
        total = asked + transcript.output_tokens
        self._record.transcribed += total
        if transcript.usage == "absent":
            return {}
        counts = {"input_tokens": asked, "output_tokens": transcript.output_tokens}
        details = {"audio_tokens": asked, "text_tokens": 0}
        usage = {"type": "tokens", **counts, "total_tokens": total, "input_token_details": details}
        return {"usage": usage}
