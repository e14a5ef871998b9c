"""What of an Anthropic message may be seen where the prompt may not."""

from typing import Any

from server.providers.endings import Ending, ending_of
from server.providers.reading import an_object, count, objects, string
from server.providers.usage import numbers_in

_DELTAS = {"text_delta": "text", "input_json_delta": "partial_json"}
_REASONS: dict[Ending, str] = {
    "natural": "end_turn",
    "sequence": "end_turn",
    "calls": "tool_use",
    "cut": "max_tokens",
    "filtered": "refusal",
}
_BLOCK_BYTES = 200
"""That a block takes in memory as long as it is open."""


class ConcealedMessage:
    """Of one message, whole or in events. Its blocks are numbered anew, without those that are left
    out."""

    def __init__(self, reply_id: str, model: str) -> None:
        self._envelope = {"id": reply_id, "type": "message", "role": "assistant", "model": model}
        self._numbers: dict[int, int | None] = {}
        """Of the open blocks, by the provider's; None for one that is left out."""
        self._next = 0

    @property
    def kept(self) -> int:
        return len(self._numbers) * _BLOCK_BYTES

    def reply(self, reply: dict[str, Any]) -> dict[str, Any]:
        blocks = [block for one in objects(reply.get("content")) if (block := _block(one))]
        ended = {"stop_reason": _reason(reply), "stop_sequence": None}
        usage = numbers_in(reply.get("usage")) or {}
        return {**self._envelope, "content": blocks, **ended, "usage": usage}

    def event(self, event: dict[str, Any]) -> dict[str, Any] | None:
        index, kind = count(event.get("index")), event.get("type")
        match kind:
            case "message_start":
                return {"type": kind, "message": self._begin(an_object(event.get("message")))}
            case "content_block_start":
                block = _block(an_object(event.get("content_block")))
                number = self._numbers[index] = None if block is None else self._number()
                found = {"type": kind, "index": number, "content_block": block}
                return None if block is None else found
            case "content_block_delta":
                return self._delta(index, an_object(event.get("delta")))
            case "content_block_stop":
                number = self._numbers.pop(index, None)
                return None if number is None else {"type": kind, "index": number}
            case "message_delta":
                delta = {"stop_reason": _reason(an_object(event.get("delta")))}
                usage = numbers_in(event.get("usage")) or {}
                return {"type": kind, "delta": {**delta, "stop_sequence": None}, "usage": usage}
            case "message_stop" | "ping":
                return {"type": kind}
        return None

    def _begin(self, message: dict[str, Any]) -> dict[str, Any]:
        ended = {"stop_reason": None, "stop_sequence": None}
        usage = numbers_in(message.get("usage")) or {}
        return {**self._envelope, "content": [], **ended, "usage": usage}

    def _delta(self, index: int, delta: dict[str, Any]) -> dict[str, Any] | None:
        kind = string(delta.get("type"))
        if kind not in _DELTAS:
            return None
        if index not in self._numbers:  # some servers do not say that a block begins
            self._numbers[index] = self._number()
        number, name = self._numbers[index], _DELTAS[kind]
        if number is None:
            return None
        shown = {"type": kind, name: string(delta.get(name))}
        return {"type": "content_block_delta", "index": number, "delta": shown}

    def _number(self) -> int:
        self._next += 1
        return self._next - 1


def _block(block: dict[str, Any]) -> dict[str, Any] | None:
    match block.get("type"):
        case "text":
            return {"type": "text", "text": string(block.get("text"))}
        case "tool_use":
            named = {name: string(block.get(name)) for name in ("id", "name")}
            return {"type": "tool_use", **named, "input": block.get("input", {})}
    return None


def _reason(holder: dict[str, Any]) -> str | None:
    ending = ending_of(holder.get("stop_reason"))
    return None if ending is None else _REASONS.get(ending, "max_tokens")
