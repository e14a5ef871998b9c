"""An item that a response adds to the conversation: a message, or the call of a tool."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.doubles.answer import Tool
from tests.doubles.realtime.conversation import Item, new_id

Send = Callable[..., Awaitable[None]]
"""Gets the type of an event, and its members by name."""


class Output:
    """`tool`: that is called; None: it is a message. `audio`: its pieces' audio as it is sent;
    "": they have none."""

    def __init__(
        self, send: Send, response_id: str, index: int, tool: Tool | None, audio: str
    ) -> None:
        self._send = send
        self._tool = tool
        self._audio = audio
        self.text = ""
        self._call_id = new_id("call")
        self._item_id = new_id("item")
        where = {"response_id": response_id, "output_index": index}
        self._of_item = where
        self._where = {**where, "item_id": self._item_id}
        self._of_part = {**self._where, "content_index": 0}

    async def open(self, previous: str | None) -> None:
        """`previous`: the item before it; "none": it is in no conversation."""
        item = self.item("in_progress")
        await self._send("response.output_item.added", **self._of_item, item=item)
        if previous != "none":
            await self._send("conversation.item.added", previous_item_id=previous, item=item)
        if self._tool is None:
            await self._send("response.content_part.added", **self._of_part, part=self._part())

    async def add(self, text: str) -> None:
        self.text += text
        if self._tool is not None:
            kind = "response.function_call_arguments.delta"
            await self._send(kind, **self._where, call_id=self._call_id, delta=text)
        elif self._audio:
            await self._send("response.output_audio_transcript.delta", **self._of_part, delta=text)
            await self._send("response.output_audio.delta", **self._of_part, delta=self._audio)
        else:
            await self._send("response.output_text.delta", **self._of_part, delta=text)

    async def close(self, status: str, previous: str | None) -> Item:
        await self._end_text()
        item = self.item(status)
        if previous != "none":
            await self._send("conversation.item.done", previous_item_id=previous, item=item)
        await self._send("response.output_item.done", **self._of_item, item=item)
        return item

    def item(self, status: str) -> Item:
        common = {"id": self._item_id, "object": "realtime.item", "status": status}
        if self._tool is not None:
            called = {"name": self._tool.name, "call_id": self._call_id, "arguments": self.text}
            return {**common, "type": "function_call", **called}
        content = [] if status == "in_progress" else [self._content()]
        return {**common, "type": "message", "role": "assistant", "content": content}

    async def _end_text(self) -> None:
        if self._tool is not None:
            kind = "response.function_call_arguments.done"
            called = {"call_id": self._call_id, "name": self._tool.name, "arguments": self.text}
            await self._send(kind, **self._where, **called)
            return
        if self._audio:
            await self._send("response.output_audio.done", **self._of_part)
            kind = "response.output_audio_transcript.done"
            await self._send(kind, **self._of_part, transcript=self.text)
        else:
            await self._send("response.output_text.done", **self._of_part, text=self.text)
        await self._send("response.content_part.done", **self._of_part, part=self._part())

    def _part(self) -> dict[str, Any]:
        if self._audio:
            return {"type": "audio", "transcript": self.text}
        return {"type": "text", "text": self.text}

    def _content(self) -> dict[str, Any]:
        if self._audio:
            return {"type": "output_audio", "transcript": self.text}
        return {"type": "output_text", "text": self.text}
