"""A chat completion as an Anthropic message, and what streams share with that.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, messages.
Reasoning is in no reply of OpenAI's; compatible servers put it into `reasoning_content` or
`reasoning`. It becomes a thinking block, whose signature is our mark (state.py).
"""

from typing import Any
from uuid import uuid4

from server.providers.for_messages.state import REASONING, id_for_client, mark_of
from server.providers.reading import an_object, count, objects, string
from server.providers.tool_input import as_object

UNNAMED = "unknown"
"""The tool of a call that has arguments and no name."""
LONGEST_NAME = 256


def from_completion(completion: dict[str, Any], origin: str = "") -> dict[str, Any]:
    """The Anthropic message of a chat.completion of the endpoint `origin`."""
    choice = first_choice(completion)
    answer = an_object(choice.get("message"))
    used: set[str] = set()
    made = (_tool_use(call, origin, used) for call in objects(answer.get("tool_calls")))
    calls = [block for block in made if block]
    refusal = text_of(answer.get("refusal"))
    content: list[dict[str, Any]] = []
    if thinking := thinking_of(answer):
        signature = mark_of(origin, reasoning_member(answer))
        content.append({"type": "thinking", "thinking": thinking, "signature": signature})
    if text := text_of(answer.get("content")) + refusal:
        content.append({"type": "text", "text": text})
    return {
        **envelope(completion),
        "content": [*content, *calls],
        "stop_reason": stop_reason(choice.get("finish_reason"), bool(calls), bool(refusal)),
        "usage": message_usage(completion.get("usage")),
    }


def envelope(completion: dict[str, Any]) -> dict[str, Any]:
    """A message without anything in it, for a chat.completion or a chunk of one."""
    upstream_id = string(completion.get("id")) or uuid4().hex
    return {
        "id": upstream_id if upstream_id.startswith("msg_") else f"msg_{upstream_id}",
        "type": "message",
        "role": "assistant",
        "model": string(completion.get("model")),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": message_usage(completion.get("usage")),
    }


def first_choice(completion: dict[str, Any]) -> dict[str, Any]:
    """There is but one, as `n` is never sent; {} if there is none."""
    return next(iter(objects(completion.get("choices"))), {})


def text_of(content: Any) -> str:
    """A message's or delta's content, which some servers give in parts."""
    if isinstance(content, list):
        return "".join(string(part.get("text")) for part in objects(content))
    return string(content)


def thinking_of(message: dict[str, Any]) -> str:
    """Some servers name the same reasoning twice."""
    return string(message.get("reasoning_content")) or string(message.get("reasoning"))


def reasoning_member(message: dict[str, Any]) -> str:
    """The member that `thinking_of` has read."""
    return next(name for name in REASONING if string(message.get(name)))


def tool_use(call: dict[str, Any], name: str, origin: str, used: set[str]) -> dict[str, Any]:
    """A call without its input; some servers give no IDs, or one to all, but results must name one.
    `used`: those of the answer."""
    call_id = id_for_client(call, origin, used) or f"toolu_{uuid4().hex}"
    return {"type": "tool_use", "id": call_id, "name": name[:LONGEST_NAME], "input": {}}


def stop_reason(finish_reason: Any, has_calls: bool, has_refused: bool) -> str:
    """Some servers finish with `stop` after calls, or with `tool_calls` after none: what is there
    counts. Which stop sequence ended it, if one did, is not known."""
    if finish_reason == "length":
        return "max_tokens"
    if finish_reason == "content_filter" or has_refused:
        return "refusal"
    return "tool_use" if has_calls else "end_turn"


def message_usage(usage: Any) -> dict[str, Any]:
    """Anthropic's input tokens leave out what was read from and written to a cache."""
    usage = an_object(usage)
    of_input = an_object(usage.get("prompt_tokens_details"))
    read, written = count(of_input.get("cached_tokens")), count(of_input.get("cache_write_tokens"))
    translated: dict[str, Any] = {
        "input_tokens": max(count(usage.get("prompt_tokens")) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": count(usage.get("completion_tokens")),
    }
    of_output = an_object(usage.get("completion_tokens_details"))
    if thinking := count(of_output.get("reasoning_tokens")):
        translated["output_tokens_details"] = {"thinking_tokens": thinking}
    return translated


def _tool_use(call: dict[str, Any], origin: str, used: set[str]) -> dict[str, Any] | None:
    """None for a call of nothing."""
    function = an_object(call.get("function"))
    name, given = string(function.get("name")), as_object(function.get("arguments"))
    if not name and not given:
        return None
    return {**tool_use(call, name or UNNAMED, origin, used), "input": given}
