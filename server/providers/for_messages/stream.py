"""The chunks of a streamed chat completion as the events of an Anthropic message.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, streaming
messages: one content block after the other, each stopped before the next starts. The calls of
tools in a chat completion's stream need not come one after the other, so that a block waits while
the call before it lacks arguments.
"""

from collections import deque
from typing import Any

from server.providers.for_messages.brackets import Brackets
from server.providers.for_messages.reply import (
    envelope,
    first_choice,
    message_usage,
    stop_reason,
    text_of,
    thinking_of,
    tool_use,
)
from server.providers.reading import an_object, objects, small, string

# What a block and a fragment of text take in memory, besides the text.
_BLOCK_BYTES, _FRAGMENT_BYTES = 1_000, 60
_LONGEST_INDEX, _LONGEST_NAME = 20, 256


class _Block:
    """A content block that is open or waits to be."""

    def __init__(self, start: dict[str, Any], delta: str, member: str) -> None:
        self.start = start
        self.unsent: list[str] = []
        self.kept = 0
        """About how many bytes of memory `unsent` takes."""
        self._delta = delta
        self._member = member

    @property
    def can_start(self) -> bool:
        return True

    @property
    def is_complete(self) -> bool:
        """May the next block follow?"""
        return True

    def add(self, text: str) -> None:
        self.unsent.append(text)
        self.kept += len(text) + _FRAGMENT_BYTES

    def delta(self) -> dict[str, Any]:
        """The delta with all the text that is unsent; from now on it counts as sent."""
        text = "".join(self.unsent)
        self.unsent.clear()
        self.kept = 0
        return {"type": self._delta, self._member: text}


class _Call(_Block):
    """A call of a tool; it can start when its name is known."""

    def __init__(self) -> None:
        super().__init__({}, "input_json_delta", "partial_json")
        self.id = ""
        self._brackets = Brackets()

    def take(self, call: dict[str, Any]) -> None:
        function = an_object(call.get("function"))
        self.id = self.id or _call_id(call)
        if not self.start and (name := string(function.get("name"))):
            self.start = tool_use(self.id, name[:_LONGEST_NAME])
        if arguments := string(function.get("arguments")):
            self.add(arguments)
            self._brackets.read(arguments)

    @property
    def can_start(self) -> bool:
        return bool(self.start)

    @property
    def is_complete(self) -> bool:
        return bool(self.start) and self._brackets.are_closed


class MessageStream:
    """One message: `from_chunk` for each chunk of the provider, then `finish`."""

    def __init__(self) -> None:
        self._started = False
        # Those that are not stopped yet, in order. Only the first can be open, and is so if
        # `_is_open`; `_index` is its number in the message.
        self._blocks: deque[_Block] = deque()
        self._is_open = False
        self._index = 0
        self._calls: dict[str, _Call] = {}
        self._finish_reason: Any = None
        self._has_called = False
        self._has_refused = False
        self._usage: dict[str, Any] = {}
        self.kept = 0
        """About how many bytes of memory it takes: calls as long as it lasts, others until sent."""

    def from_chunk(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """The Anthropic events of one chunk (parsed data object).

        message_start comes first, whatever the first chunk is; usage may come in any chunk, also
        with non-empty choices.
        """
        events = self._begin(chunk)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = message_usage(usage)
        choice = first_choice(chunk)
        self._finish_reason = small(choice.get("finish_reason")) or self._finish_reason
        self._take(an_object(choice.get("delta")))
        return events + self._advance()

    def finish(self) -> list[dict[str, Any]]:
        """At the upstream's end: what is still open is stopped, message_delta with stop_reason
        and (cumulative) usage, message_stop."""
        events = self._begin({}) + self._advance(to_the_end=True)
        reason = stop_reason(self._finish_reason, self._has_called, self._has_refused)
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = self._usage or message_usage(None)
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        events.append({"type": "message_stop"})
        return events

    def _begin(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        if self._started:
            return []
        self._started = True
        return [{"type": "message_start", "message": envelope(chunk)}]

    def _take(self, delta: dict[str, Any]) -> None:
        if thinking := thinking_of(delta):
            start = {"type": "thinking", "thinking": "", "signature": ""}
            self._add(thinking, start, "thinking_delta", "thinking")
        refusal = text_of(delta.get("refusal"))
        self._has_refused = self._has_refused or bool(refusal)
        if text := text_of(delta.get("content")) + refusal:
            self._add(text, {"type": "text", "text": ""}, "text_delta", "text")
        for call in objects(delta.get("tool_calls")):
            self._take_call(call)

    def _add(self, text: str, start: dict[str, Any], delta: str, member: str) -> None:
        if not self._blocks or self._blocks[-1].start != start:
            self._append(_Block(start, delta, member))
        block = self._blocks[-1]
        self.kept -= block.kept
        block.add(text)
        self.kept += block.kept

    def _append(self, block: _Block) -> None:
        self._blocks.append(block)
        self.kept += _BLOCK_BYTES

    def _take_call(self, delta: dict[str, Any]) -> None:
        """Adds to a call, known by its index; some servers give all calls one, or none."""
        key = repr(small(delta.get("index")))[:_LONGEST_INDEX]
        call_id = _call_id(delta)
        call = self._calls.get(key)
        if call is None or (call_id and call.id and call_id != call.id):
            call = self._calls[key] = _Call()
            self._append(call)
        self.kept -= call.kept
        call.take(delta)
        self.kept += call.kept

    def _advance(self, to_the_end: bool = False) -> list[dict[str, Any]]:
        """What can be sent of the blocks, in their order."""
        events: list[dict[str, Any]] = []
        while self._blocks:
            block = self._blocks[0]
            if block.can_start:
                events += self._send(block)
            if not to_the_end and (len(self._blocks) == 1 or not block.is_complete):
                break
            self._blocks.popleft()
            if not isinstance(block, _Call):  # those can get more
                self.kept -= _BLOCK_BYTES
            if self._is_open:
                events.append({"type": "content_block_stop", "index": self._index})
                self._is_open = False
                self._index += 1
        return events

    def _send(self, block: _Block) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if not self._is_open:
            self._is_open = True
            self._has_called = self._has_called or isinstance(block, _Call)
            start = {"type": "content_block_start", "index": self._index}
            events.append({**start, "content_block": block.start})
        if block.unsent:
            self.kept -= block.kept
            delta = block.delta()
            events.append({"type": "content_block_delta", "index": self._index, "delta": delta})
        return events


def _call_id(call: dict[str, Any]) -> str:
    return string(call.get("id"))[:_LONGEST_NAME]
