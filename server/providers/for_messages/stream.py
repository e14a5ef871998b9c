"""The chunks of a streamed chat completion as the events of an Anthropic message.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, streaming
messages: one content block after the other, each stopped before the next starts. The calls of
tools in a chat completion's stream need not come one after the other (calls.py), so that a block
waits while the call before it lacks arguments.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from server.providers.endings import ending_of, word_of
from server.providers.for_messages.blocks import Block, Refused, Text, Thinking
from server.providers.for_messages.calls import Call, Calls, adopt, parts_of
from server.providers.for_messages.details import DETAILS, Members, details_of
from server.providers.for_messages.reply import (
    NO_TOOLS,
    STOP_MEMBERS,
    calls_of,
    envelope,
    first_choice,
    message_usage,
    reasoning_member,
    stop_of,
    text_of,
    thinking_of,
)
from server.providers.reading import an_object, small
from server.providers.usage import Counts, of_chunk

_BLOCK_BYTES = 1_000
"""That a block takes in memory, besides its text."""
_BROKEN_CALL = {
    "type": "api_error",
    "message": "The arguments of a tool's call are broken",
    "code": "provider_error",
}


class MessageStream:
    """One message: `from_chunk` for each chunk of the provider, then `finish`."""

    def __init__(
        self, origin: str = "", tools: Mapping[str, str] = NO_TOOLS, has_refusals: bool = False
    ) -> None:
        """`origin`: the name of the endpoint; `tools`: the client's names of those that it calls
        otherwise; `has_refusals`: they are blocks of their own, which Anthropic does not have."""
        self._has_refusals = has_refusals
        self._origin = origin
        self._tools = tools
        self._started = False
        # Those that are not stopped yet, in order. Only the first can be open, and is so if
        # `_is_open`; `_index` is its number in the message.
        self._blocks: deque[Block] = deque()
        self._is_open = False
        self._index = 0
        self._calls = Calls(origin)
        self._has_broken_call = False
        self._end: dict[str, Any] = {}
        """The choice of the chunk that said why it ended."""
        self._has_called = False
        self._has_refused = False
        self._usage = Counts()
        self.kept = 0
        """About how many bytes of memory it takes: calls as long as it lasts, others until sent."""

    def from_chunk(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """The Anthropic events of one chunk (parsed data object). Raises TooLarge.

        message_start comes first, whatever the first chunk is; usage may come in any chunk, also
        with non-empty choices.
        """
        events = [] if self._started else self._begin(chunk)
        choice = first_choice(chunk)
        reason = choice.get("finish_reason")
        if reason is not None and ending_of(reason) is not None:
            self._end = {name: small(choice.get(name)) for name in STOP_MEMBERS}
            if not isinstance(reason, str):
                self._end["finish_reason"] = word_of(reason)
        if chunk.get("usage") or "usage" in choice or "x_groq" in chunk:
            self._usage = self._usage.grown(of_chunk(chunk) or Counts())
        delta = an_object(choice.get("delta"))
        if len(delta) == 1 and isinstance(text := delta.get("content"), str):  # as nearly always
            if self._is_open and len(self._blocks) == 1 and type(self._blocks[0]) is Text:
                return [*events, *self._text_delta(text)]
            self._take_text(text)
        else:
            self._take(delta)
        return events + self._advance()

    def finish(self) -> list[dict[str, Any]]:
        """At the upstream's end: what is still open is stopped, message_delta with stop_reason
        and (cumulative) usage, message_stop. An error instead of those if there is a call that no
        app should make, as its arguments are broken."""
        adopt(self._blocks)
        events = [] if self._started else self._begin({})
        events += self._advance(to_the_end=True)
        delta = stop_of(self._end, self._has_called, self._has_refused)
        if self._has_broken_call and delta["stop_reason"] != "max_tokens":
            return [*events, {"type": "error", "error": _BROKEN_CALL}]
        usage = message_usage(self._usage)
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        events.append({"type": "message_stop"})
        return events

    def _begin(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        self._started = True
        return [{"type": "message_start", "message": envelope(chunk)}]

    def _take(self, delta: dict[str, Any]) -> None:
        if not DETAILS.isdisjoint(delta):
            self._take_details(details_of(delta))
        if thinking := thinking_of(delta):
            block = self._blocks[-1] if self._blocks else None
            if not isinstance(block, Thinking) or not block.member:
                self._thinking(reasoning_member(delta))
            self._add(thinking)
        refusal = text_of(delta.get("refusal"))
        self._has_refused = self._has_refused or bool(refusal)
        if refusal and self._has_refusals:
            self._take_text(text_of(delta.get("content")))
            self._take_text(refusal, Refused)
        else:
            self._take_text(text_of(delta.get("content")) + refusal)
        if (calls := delta.get("tool_calls")) or "function_call" in delta:
            for call in calls_of(delta, calls):
                self._take_call(call)

    def _text_delta(self, text: str) -> list[dict[str, Any]]:
        """Of the block that is open: nothing of it waits."""
        if not text:
            return []
        delta = {"type": "text_delta", "text": text}
        return [{"type": "content_block_delta", "index": self._index, "delta": delta}]

    def _take_text(self, text: str, kind: type[Text] | type[Refused] = Text) -> None:
        if text:
            if not self._blocks or type(self._blocks[-1]) is not kind:
                self._append(kind())
            self._add(text)

    def _take_details(self, details: Members) -> None:
        if details:
            kept = self._thinking("").details
            self.kept -= kept.kept
            kept.add(details)
            self.kept += kept.kept

    def _thinking(self, member: str) -> Thinking:
        """The last block, which is made one of reasoning if it is none; `member`: what the endpoint
        calls the reasoning, '' if there is none yet."""
        block = self._blocks[-1] if self._blocks else None
        if not isinstance(block, Thinking):
            block = Thinking(self._origin)
            self._append(block)
        block.member = block.member or member
        return block

    def _add(self, text: str) -> None:
        block = self._blocks[-1]
        self.kept -= block.kept
        block.add(text)
        self.kept += block.kept

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self.kept += _BLOCK_BYTES

    def _take_call(self, delta: dict[str, Any]) -> None:
        name, arguments = parts_of(delta)
        if name and name in self._tools:
            name = self._tools[name]
        call, is_new = self._calls.find(delta, name, arguments)
        if is_new:
            self._append(call)
        self.kept -= call.kept + call.lasting
        call.take(delta, name, arguments)
        self.kept += call.kept + call.lasting

    def _advance(self, to_the_end: bool = False) -> list[dict[str, Any]]:
        """What can be sent of the blocks, in their order."""
        events: list[dict[str, Any]] = []
        while self._blocks:
            block = self._blocks[0]
            if block.can_start or (to_the_end and block.start):
                events += self._send(block)
            if not to_the_end and (len(self._blocks) == 1 or not block.is_complete):
                break
            self._blocks.popleft()
            events += self._stop(block)
        return events

    def _send(self, block: Block) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if not self._is_open:
            self._is_open = block.has_started = True
            self._has_called = self._has_called or isinstance(block, Call)
            start = {"type": "content_block_start", "index": self._index}
            events.append({**start, "content_block": block.start})
        kept = block.kept
        if (delta := block.ready()) is not None:
            self.kept -= kept
            events.append({"type": "content_block_delta", "index": self._index, "delta": delta})
        return events

    def _stop(self, block: Block) -> list[dict[str, Any]]:
        if isinstance(block, Call):
            self.kept -= block.lasting
            self._has_broken_call = block.stop() or self._has_broken_call
            self.kept += block.lasting
        else:  # calls are still known by their index
            self.kept -= _BLOCK_BYTES
        if isinstance(block, Thinking):
            self.kept -= block.details.kept
        if not self._is_open:
            return []
        events: list[dict[str, Any]] = []
        self.kept -= block.kept
        if (delta := block.last()) is not None:
            events.append({"type": "content_block_delta", "index": self._index, "delta": delta})
        events.append({"type": "content_block_stop", "index": self._index})
        self._is_open = False
        self._index += 1
        return events
