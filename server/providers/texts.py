"""Texts: what an answer of either protocol has of the model's own words, wherever it stands.

What is the model's for certain proves how many tokens were produced at least. What may be something
else, as a picture or a member that nobody knows yet, counts when it must be estimated.
"""

from contextlib import suppress
from typing import Any

import orjson

from server.providers.estimate import Output
from server.providers.reading import objects

# Members of a message that are no output, or say the same as another does.
_NO_OUTPUT = frozenset(
    {
        *("annotations", "data", "expires_at", "extra_content", "format", "id", "index", "role"),
        *("signature", "thought_signature", "type"),
    }
)
_SAME = {
    "reasoning": ("reasoning_content",),
    "reasoning_details": ("reasoning_content", "reasoning"),
    "thinking_blocks": ("reasoning_content", "reasoning"),
}
_CERTAIN = frozenset({"content", "reasoning", "reasoning_content", "refusal"})


def count_message(message: Any, output: Output) -> None:
    """Of a chat completion's message or delta."""
    if not isinstance(message, dict):
        return
    if len(message) == 1 and "content" in message and isinstance(message["content"], str):
        output.add(message["content"])  # as in nearly all chunks
        return
    for name, value in message.items():
        if not value or name in _NO_OUTPUT:
            continue
        if name in _SAME and any(message.get(other) for other in _SAME[name]):
            continue
        if isinstance(value, str) and name in _CERTAIN:
            output.add(value)
        else:
            _count_within(value, output, name in _CERTAIN)


def count_block(block: Any, output: Output) -> None:
    """Of an Anthropic message's content, or a delta of one."""
    if not isinstance(block, dict):
        return
    output.add(block.get("text"))
    output.add(block.get("thinking"))
    output.add_doubtful(block.get("partial_json"))
    output.add_doubtful(block.get("name"))
    if block.get("input"):
        # What it reads nested too deeply for it to write is not worth losing the reply.
        with suppress(orjson.JSONEncodeError):
            output.add_doubtful(orjson.dumps(block["input"]).decode())


def count_item(item: dict[str, Any], output: Output) -> None:
    """Of a response's output."""
    kind = item.get("type")
    if kind in ("message", "reasoning"):
        for part in objects(item.get("content")):
            output.add(part.get("text"))
            output.add(part.get("refusal"))
        for part in objects(item.get("summary")):
            output.add_doubtful(part.get("text"))
    elif kind in ("function_call", "custom_tool_call"):
        for name in ("name", "arguments", "input"):
            output.add_doubtful(item.get(name))


def _count_within(value: Any, output: Output, is_certain: bool) -> None:
    """All texts of calls, parts, audio, and what else there will be."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [inner for name, inner in value.items() if name not in _NO_OUTPUT]
        elif is_certain and isinstance(value, str) and not value.startswith("data:"):
            output.add(value)
        else:
            output.add_doubtful(value)
