"""Anthropic's messages as OpenAI's chat completions.

Sources: the Anthropic API reference, messages; the OpenAI API reference, the chat completion
object. What is missing or odd in a message is left out; nothing raises.

Thinking becomes `reasoning_content`, which OpenAI does not have, but several compatible servers.
"""

from typing import Any

import orjson

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# More is no count of tokens, and a sum of such may be more than orjson writes.
_MOST_TOKENS = 10**13


def from_message(message: dict[str, Any], created: int) -> dict[str, Any]:
    """The chat.completion of an Anthropic message; `created` in Unix seconds."""
    blocks = _blocks(message)
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    text = "".join(string(block, "text") for block in blocks if block.get("type") == "text")
    reply: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if uses:
        reply["content"] = text or None
        reply["tool_calls"] = [
            {
                "id": string(use, "id") or f"call_{number}",
                "type": "function",
                "function": {"name": string(use, "name"), "arguments": arguments(use)},
            }
            for number, use in enumerate(uses)
        ]
    thoughts = [string(block, "thinking") for block in blocks if block.get("type") == "thinking"]
    if any(thoughts):
        reply["reasoning_content"] = "".join(thoughts)
    reason = finish_reason(message.get("stop_reason"), bool(uses))
    completion = {
        "id": string(message, "id") or f"chatcmpl-{created}",
        "object": "chat.completion",
        "created": created,
        "model": string(message, "model"),
        "choices": [{"index": 0, "message": reply, "logprobs": None, "finish_reason": reason}],
    }
    used = usage(message.get("usage"))
    return {**completion, "usage": used} if used else completion


def finish_reason(stop_reason: Any, has_calls: bool) -> str:
    """`has_calls` decides when the stop reason is missing or unknown."""
    known = _FINISH_REASONS.get(stop_reason) if isinstance(stop_reason, str) else None
    return known or ("tool_calls" if has_calls else "stop")


def usage(reported: Any) -> dict[str, Any] | None:
    """The usage in OpenAI's terms, whose prompt tokens include cached ones; None for none."""
    if not isinstance(reported, dict) or not reported:
        return None
    written = _count(reported, "cache_creation_input_tokens")
    read = _count(reported, "cache_read_input_tokens")
    prompt = _count(reported, "input_tokens") + written + read
    output = _count(reported, "output_tokens")
    found = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
    details = reported.get("output_tokens_details")
    if isinstance(details, dict):
        thinking = _count(details, "thinking_tokens")
        found["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return found


def arguments(use: dict[str, Any]) -> str:
    """The input of a `tool_use` block as JSON, `{}` if it has none."""
    value = use.get("input")
    try:
        return orjson.dumps({} if value is None else value).decode()
    except orjson.JSONEncodeError:
        # Nested deeper than orjson writes; what is no JSON the client will notice.
        return ""


def string(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    blocks = content if isinstance(content, list) else ()
    return [block for block in blocks if isinstance(block, dict)]


def _count(holder: dict[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0
