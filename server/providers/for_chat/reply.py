"""Anthropic's messages as OpenAI's chat completions.

Sources: the Anthropic API reference, messages; the OpenAI API reference, the chat completion
object. What is missing or odd in a message is left out; nothing raises.

Thinking becomes `reasoning_content`, which OpenAI does not have, but several compatible servers.
"""

from typing import Any

import orjson

from server.providers.endings import Ending, ending_of
from server.providers.reading import objects, string
from server.providers.tool_input import ToolInputs
from server.providers.usage import of_message

_FINISH_REASONS: dict[Ending, str] = {
    "natural": "stop",
    "sequence": "stop",
    "calls": "tool_calls",
    "cut": "length",
    "filtered": "content_filter",
}


def from_message(message: dict[str, Any], created: int) -> dict[str, Any]:
    """The chat.completion of an Anthropic message; `created` in Unix seconds."""
    blocks = objects(message.get("content"))
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    text = "".join(string(block.get("text")) for block in blocks if block.get("type") == "text")
    reply: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if uses:
        inputs = ToolInputs()
        reply["content"] = text or None
        reply["tool_calls"] = [
            {
                "id": string(use.get("id")) or f"call_{number}",
                "type": "function",
                "function": {"name": string(use.get("name")), "arguments": arguments(use, inputs)},
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
    """Some servers end their turn after calls, or stop to call without any: what is there counts,
    as clients go on by this word."""
    ending = ending_of(stop_reason) or "natural"
    if has_calls and ending in ("natural", "sequence"):
        ending = "calls"
    elif ending == "calls" and not has_calls:
        ending = "natural"
    return reason_for(ending)


def reason_for(ending: Ending) -> str:
    """The `finish_reason`."""
    return _FINISH_REASONS.get(ending, "length")


def chat_usage(reported: Any) -> dict[str, Any] | None:
    """The usage in OpenAI's terms, whose prompt tokens include cached ones; None for none."""
    counts = of_message(reported)
    if counts is None or not reported:
        return None
    prompt, output = (amount or 0 for amount in counts.believed(0, 0))
    found = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": counts.read,
            "cache_write_tokens": counts.written,
        },
    }
    if counts.reasoning or isinstance(reported.get("output_tokens_details"), dict):
        found["completion_tokens_details"] = {"reasoning_tokens": counts.reasoning}
    return found


def arguments(use: dict[str, Any], inputs: ToolInputs) -> str:
    """The input of a `tool_use` block as JSON, `{}` if it has none."""
    try:
        return orjson.dumps(inputs.as_object(use.get("input"))).decode()
    except orjson.JSONEncodeError:
        # Nested deeper than orjson writes; what is no JSON the client will notice.
        return ""
