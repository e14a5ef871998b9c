"""One response: its events step by step, and what it has used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from tests.doubles.realtime.conversation import Conversation
from tests.doubles.realtime.hearing import spoken
from tests.doubles.realtime.output import Output, Send
from tests.doubles.realtime.record import Response
from tests.doubles.realtime.service import Turn
from tests.doubles.realtime.settings import Settings
from tests.doubles.realtime.steps import Step, Steps, usage_of


class Speaking:
    """`settings` are the session's, with those of the event that asked for it."""

    def __init__(
        self,
        send: Send,
        conversation: Conversation,
        turn: Turn,
        settings: Settings,
        record: Response,
    ) -> None:
        self._send = send
        self._conversation = conversation
        self._turn = turn
        self._settings = settings
        self.record = record
        self.is_default = settings.get("conversation") != "none"
        format_: dict[str, Any] = settings["audio"]["output"]["format"]
        self._audio_format = format_["type"]
        speaks = "audio" in settings["output_modalities"]
        self._steps = Steps(turn, speaks, record.limit)
        self._taken = 0
        self._outputs: list[Output] = []
        self._items: list[dict[str, Any]] = []
        self._previous: str | None = None
        self._stopped = asyncio.Event()
        self._reason = ""

    @property
    def last_step(self) -> int:
        return len(self._steps.all) + 1

    def cancel(self, reason: str) -> None:
        """`client_cancelled` or `turn_detected`."""
        if not self._turn.ignore_cancel:
            self._reason = self._reason or reason
            self._stopped.set()

    async def run(self) -> AsyncIterator[int]:
        """The number of each step before it is taken; who asks for no further one stops it."""
        await self._wait(self._turn.delay)
        yield 0
        await self._open()
        for number, step in enumerate(self._steps.all, 1):
            await self._wait(self._turn.pause)
            if self._stopped.is_set():
                break
            yield number
            if self._stopped.is_set():
                break
            await self._take(step)
        else:
            await self._wait(self._turn.pause)
            yield self.last_step
        await self._close()

    async def wait(self, for_: asyncio.Event) -> None:
        """Or for its cancel."""
        waits = [asyncio.ensure_future(each.wait()) for each in (for_, self._stopped)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    async def _wait(self, seconds: float) -> None:
        if not seconds:
            # Also without a pause, so that one fast response leaves the others a turn.
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    async def _open(self) -> None:
        self.record.output = self._steps.generated(0) if self._steps.all else 0
        await self._send("response.created", response=self._object("in_progress", None))
        tokens = {"name": "tokens", "limit": 400_000, "remaining": 399_000, "reset_seconds": 0.15}
        await self._send("rate_limits.updated", rate_limits=[tokens])

    async def _take(self, step: Step) -> None:
        if step.item == len(self._outputs):
            await self._open_output(step.item)
        self._taken += 1
        self.record.output = self._steps.generated(self._taken)
        await self._outputs[-1].add(step.text)
        self.record.steps = self._taken

    async def _open_output(self, number: int) -> None:
        if self._outputs:
            await self._close_output("completed")
        message = number == 0 and self._steps.has_message
        tool = None if message else self._turn.tools[number - int(self._steps.has_message)]
        audio = ""
        if message and self._steps.speaks:
            audio = spoken(self._turn.audio_ms, self._audio_format)
        output = Output(self._send, self.record.response_id, number, tool, audio)
        self._outputs.append(output)
        self._previous = "none"
        if self.is_default:
            # What it costs is known at its end.
            self._previous = self._conversation.add(output.item("in_progress"), 0)
        await output.open(self._previous)

    async def _close_output(self, status: str) -> None:
        item = await self._outputs[-1].close(status, self._previous)
        self._items.append(item)
        if self.is_default:
            tokens = self._conversation.tokens_of(item, self._audio_format)
            if item["type"] == "message":
                tokens += self._steps.audio_tokens(self._taken)
            self._conversation.replace(item, tokens)

    async def _close(self) -> None:
        status, details = self._status()
        if not self._reason:
            self.record.output = self._steps.generated(len(self._steps.all))
        if self._outputs:
            await self._close_output("completed" if status == "completed" else "incomplete")
        self.record.status = status
        for _ in range(self._turn.done_times):
            await self._send("response.done", response=self._object(status, details))

    def _status(self) -> tuple[str, dict[str, Any] | None]:
        if self._reason:
            return "cancelled", {"type": "cancelled", "reason": self._reason}
        if self._steps.is_cut:
            return "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}
        if self._turn.status == "failed":
            error = {
                "type": "server_error",
                "code": "server_error",
                "message": "The server had an error; organization org-of-the-tenant.",
            }
            return "failed", {"type": "failed", "error": error}
        if self._turn.status == "incomplete":
            return "incomplete", {"type": "incomplete", "reason": "content_filter"}
        return "completed", None

    def _object(self, status: str, details: dict[str, Any] | None) -> dict[str, Any]:
        record, settings = self.record, self._settings
        usage = None
        if status != "in_progress":
            audio_tokens = self._steps.audio_tokens(self._taken)
            usage = usage_of(self._turn, record.input, record.output, audio_tokens)
        return {
            "object": "realtime.response",
            "id": record.response_id,
            "status": status,
            "status_details": details,
            "output": self._items,
            "conversation_id": self._conversation.conversation_id if self.is_default else None,
            "output_modalities": settings["output_modalities"],
            "max_output_tokens": "inf" if record.limit is None else record.limit,
            "audio": {"output": {k: settings["audio"]["output"][k] for k in ("format", "voice")}},
            "usage": usage,
            "metadata": settings.get("metadata"),
        }
