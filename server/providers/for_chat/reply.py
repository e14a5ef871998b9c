"""Anthropic's messages as OpenAI's chat completions.

Sources: the Anthropic API reference, messages; the OpenAI API reference, the chat completion
object. What is missing or odd in a message is left out; nothing raises.

Thinking becomes `reasoning_content`, which OpenAI does not have, but several compatible servers.
"""

from typing import Any

import orjson

from server.providers.reading import count, objects, string
from server.providers.tool_input import as_object

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def from_message(message: dict[str, Any], created: int) -> dict[str, Any]:
    """The chat.completion of an Anthropic message; `created` in Unix seconds."""
    blocks = objects(message.get("content"))
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    text = "".join(string(block.get("text")) for block in blocks if block.get("type") == "text")
    reply: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if uses:
        reply["content"] = text or None
        reply["tool_calls"] = [
            {
                "id": string(use.get("id")) or f"call_{number}",
                "type": "function",
                "function": {"name": string(use.get("name")), "arguments": arguments(use)},
            }
            for number, use in enumerate(uses)
        ]
    thoughts = [
        string(block.get("thinking")) for block in blocks if block.get("type") == "thinking"
    ]
    if any(thoughts):
        reply["reasoning_content"] = "".join(thoughts)
    reason = finish_reason(message.get("stop_reason"), bool(uses))
    completion = {
        "id": string(message.get("id")) or f"chatcmpl-{created}",
        "object": "chat.completion",
        "created": created,
        "model": string(message.get("model")),
        "choices": [{"index": 0, "message": reply, "logprobs": None, "finish_reason": reason}],
    }
    used = chat_usage(message.get("usage"))
    return {**completion, "usage": used} if used else completion


def finish_reason(stop_reason: Any, has_calls: bool) -> str:
    """`has_calls` decides when the stop reason is missing or unknown."""
    known = _FINISH_REASONS.get(stop_reason) if isinstance(stop_reason, str) else None
    return known or ("tool_calls" if has_calls else "stop")


def chat_usage(reported: Any) -> dict[str, Any] | None:
    """The usage in OpenAI's terms, whose prompt tokens include cached ones; None for none."""
    if not isinstance(reported, dict) or not reported:
        return None
    written = count(reported.get("cache_creation_input_tokens"))
    read = count(reported.get("cache_read_input_tokens"))
    prompt = count(reported.get("input_tokens")) + written + read
    output = count(reported.get("output_tokens"))
    found = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
    details = reported.get("output_tokens_details")
    if isinstance(details, dict):
        thinking = count(details.get("thinking_tokens"))
        found["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return found


def arguments(use: dict[str, Any]) -> str:
    """The input of a `tool_use` block as JSON, `{}` if it has none."""
    try:
        return orjson.dumps(as_object(use.get("input"))).decode()
    except orjson.JSONEncodeError:
        # Nested deeper than orjson writes; what is no JSON the client will notice.
        return ""
