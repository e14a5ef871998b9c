"""Streams of Anthropic's messages as streams of OpenAI's chat completions.

Sources: the Anthropic API reference, streaming messages; the OpenAI API reference, the chat
completion chunk object. What is missing or odd in an event is left out; too many calls of tools
raise TooLarge.
"""

from sys import getsizeof
from typing import Any

from server.providers.bounds import MOST_CALLS_OF_TOOLS, TooLarge
from server.providers.endings import ending_of
from server.providers.for_chat.reply import arguments, chat_usage, finish_reason
from server.providers.reading import an_object, count, string
from server.providers.tool_input import ToolInputs
from server.providers.usage import MessageUsage, reported_in

Chunk = dict[str, Any]

# The type of a block or of a delta, and the member of both that has its text.
_TEXTS = {
    "text": "text",
    "text_delta": "text",
    "thinking": "thinking",
    "thinking_delta": "thinking",
}
_LONGEST_NAME = 200
"""Of what each chunk repeats."""
_CALL_BYTES = 300
"""That a call takes in memory, besides its arguments."""
_DELTAS = {"text": "content", "thinking": "reasoning_content"}


class ChatStream:
    """One stream: `from_event` for each event of the provider, then `finish`.

    The first chunk has the role, whatever the first event is.
    """

    def __init__(self, created: int, include_usage: bool) -> None:
        """`created` in Unix seconds; `include_usage`: whether the client asked for usage."""
        self._created = created
        self._include_usage = include_usage
        self._id = f"chatcmpl-{created}"
        self._model = ""
        self._usage = MessageUsage()
        self._inputs = ToolInputs()
        self._has_started = False
        self._has_finished = False
        self._calls = 0
        self._silent: dict[int, tuple[int, str]] = {}
        """By the block's index, calls without arguments so far: their number, and what arguments
        their block came with."""
        self._numbers: dict[int, int] = {}
        """The number of each call, by its block's index."""
        self.kept = 0
        """About how many bytes of memory the calls take."""

    def from_event(self, event: dict[str, Any]) -> list[Chunk]:
        """The chunks of one Anthropic event; none for pings and unknown ones."""
        index = count(event.get("index"))
        kind = event.get("type")
        if kind != "content_block_delta" or "usage" in event:
            for usage in reported_in(event):
                self._usage.report(usage)
        match kind:
            case "message_start":
                return self._start(an_object(event.get("message")))
            case "content_block_start":
                return self._start_block(index, an_object(event.get("content_block")))
            case "content_block_delta":
                return self._delta(index, an_object(event.get("delta")))
            case "content_block_stop":
                return self._stop_block(index)
            case "message_delta":
                reason = an_object(event.get("delta")).get("stop_reason")
                return [] if ending_of(reason) is None else self._end(reason)
        return []

    def finish(self) -> list[Chunk]:
        """After the last event: a finish reason if there was none, and the usage if it was asked
        for and reported."""
        chunks = self._end(None)
        used = chat_usage(self._usage.reported)
        if self._include_usage and used:
            chunks.append({**self._envelope(), "choices": [], "usage": used})
        return chunks

    def _start(self, message: dict[str, Any]) -> list[Chunk]:
        if self._has_started:
            return []
        self._id = string(message.get("id"))[:_LONGEST_NAME] or self._id
        self._model = string(message.get("model"))[:_LONGEST_NAME]
        return [self._chunk({})]

    def _start_block(self, index: int, block: dict[str, Any]) -> list[Chunk]:
        if block.get("type") != "tool_use":
            return self._text(block)
        number = self._calls
        self._calls += 1
        if self._calls > MOST_CALLS_OF_TOOLS:
            raise TooLarge
        self._numbers[index] = number
        self._silent[index] = number, arguments(block, self._inputs)
        self.kept += _CALL_BYTES + getsizeof(self._silent[index][1])
        function = {"name": string(block.get("name")), "arguments": ""}
        call_id = string(block.get("id")) or f"call_{number}"
        call = {"index": number, "id": call_id, "type": "function", "function": function}
        return [self._chunk({"tool_calls": [call]})]

    def _delta(self, index: int, delta: dict[str, Any]) -> list[Chunk]:
        if delta.get("type") != "input_json_delta":
            return self._text(delta)
        fragment = string(delta.get("partial_json"))
        if not fragment or index not in self._numbers:
            return []
        self._pop_silent(index)
        return [self._fragment(self._numbers[index], fragment)]

    def _stop_block(self, index: int) -> list[Chunk]:
        """A call without arguments gets those that its block came with, as a rule `{}`."""
        silent = self._pop_silent(index)
        return [] if silent is None else [self._fragment(*silent)]

    def _pop_silent(self, index: int) -> tuple[int, str] | None:
        silent = self._silent.pop(index, None)
        if silent is not None:
            self.kept -= getsizeof(silent[1])
        return silent

    def _text(self, part: dict[str, Any]) -> list[Chunk]:
        """The chunk with the text of a block or a delta."""
        kind = part.get("type")
        name = _TEXTS.get(kind) if isinstance(kind, str) else None
        if name is None:
            return []
        text = string(part.get(name))
        return [self._chunk({_DELTAS[name]: text})] if text else []

    def _end(self, stop_reason: Any) -> list[Chunk]:
        if self._has_finished:
            return []
        self._has_finished = True
        chunks = [chunk for index in [*self._silent] for chunk in self._stop_block(index)]
        return [*chunks, self._chunk({}, finish_reason(stop_reason, self._calls > 0))]

    def _fragment(self, number: int, text: str) -> Chunk:
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> Chunk:
        if not self._has_started:
            self._has_started = True
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {**self._envelope(), "choices": [choice]}
        return {**chunk, "usage": None} if self._include_usage else chunk

    def _envelope(self) -> Chunk:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
