"""A chat completion as an Anthropic message, and what streams share with that.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, messages.
Reasoning is in no reply of OpenAI's; compatible servers put it into `reasoning_content` or
`reasoning`. It becomes a thinking block, whose signature is our mark (state.py).
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from server.providers.endings import ending_of, is_reason
from server.providers.for_messages.details import details_of
from server.providers.for_messages.state import REASONING, id_for_client, mark_of
from server.providers.reading import an_object, objects, string
from server.providers.tool_input import ToolInputs
from server.providers.usage import Counts, of_chunk

NO_TOOLS: Mapping[str, str] = {}
UNNAMED = "unknown"
"""The tool of a call that has arguments and no name."""
LONGEST_NAME = 256
STOP_MEMBERS = ("finish_reason", "matched_stop", "stop_reason")
"""Of a choice: why it ended, and by which stop sequence in the words of SGLang and of vLLM."""


def from_completion(
    completion: dict[str, Any],
    origin: str = "",
    tools: Mapping[str, str] = NO_TOOLS,
    has_refusals: bool = False,
) -> dict[str, Any]:
    """The Anthropic message of a chat.completion of the endpoint `origin`; `tools` are the client's
    names of those that it calls otherwise; `has_refusals` as in stream.py."""
    choice = first_choice(completion)
    answer = an_object(choice.get("message"))
    used: set[str] = set()
    inputs, given = ToolInputs(), calls_of(answer, answer.get("tool_calls"))
    made = (_tool_use(call, origin, tools, used, inputs) for call in given)
    calls = [block for block in made if block]
    refusal = text_of(answer.get("refusal"))
    content: list[dict[str, Any]] = []
    thinking, details = thinking_of(answer), details_of(answer)
    if thinking or details:
        signature = mark_of(origin, reasoning_member(answer), details)
        content.append({"type": "thinking", "thinking": thinking, "signature": signature})
    text = text_of(answer.get("content"))
    if refusal and not has_refusals:
        text += refusal
    if text:
        content.append({"type": "text", "text": text})
    if refusal and has_refusals:
        content.append({"type": "refusal", "refusal": refusal})
    return {
        **envelope(completion),
        "content": [*content, *calls],
        **stop_of(choice, bool(calls), bool(refusal)),
        "usage": message_usage(of_chunk(completion)),
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
        "usage": message_usage(of_chunk(completion)),
    }


def first_choice(completion: dict[str, Any]) -> dict[str, Any]:
    """There is but one, as `n` is never sent; {} if there is none."""
    return next(iter(objects(completion.get("choices"))), {})


def text_of(content: Any) -> str:
    """A message's or delta's content, which some servers give in parts."""
    if isinstance(content, list):
        return "".join(string(part.get("text")) for part in objects(content))
    return string(content)


def calls_of(message: dict[str, Any], calls: Any) -> list[dict[str, Any]]:
    """Of a message or a delta, `calls` being its `tool_calls`. Old servers give the only call as
    `function_call`, some both."""
    if calls:
        return objects([calls] if isinstance(calls, dict) else calls)
    function = an_object(message.get("function_call"))
    return [{"function": function}] if function else []


def function_of(call: dict[str, Any]) -> dict[str, Any]:
    """What it calls, which some servers put into the call itself."""
    function = call.get("function")
    return function if isinstance(function, dict) else call


def thinking_of(message: dict[str, Any]) -> str:
    """Some servers name the same reasoning twice."""
    return string(message.get("reasoning_content")) or string(message.get("reasoning"))


def reasoning_member(message: dict[str, Any]) -> str:
    """The member that `thinking_of` has read; '' if there is none."""
    return next((name for name in REASONING if string(message.get(name))), "")


def tool_use(call: dict[str, Any], name: str, origin: str, used: set[str]) -> dict[str, Any]:
    """A call without its input; some servers give no IDs, or one to all, but results must name one.
    `used`: those of the answer."""
    call_id = id_for_client(call, origin, used) or f"toolu_{uuid4().hex}"
    return {"type": "tool_use", "id": call_id, "name": name[:LONGEST_NAME], "input": {}}


def stop_of(choice: dict[str, Any], has_calls: bool, has_refused: bool) -> dict[str, Any]:
    """`stop_reason` and `stop_sequence` for a choice or the last chunk of one.

    Some servers finish with `stop` after calls, or with `tool_calls` after none: what is there
    counts.
    """
    ending, sequence = ending_of(choice.get("finish_reason")), _matched(choice)
    if ending == "filtered" or (has_refused and ending != "cut"):
        reason = "refusal"
    elif ending in ("cut", "failed"):
        reason = "max_tokens"
    elif has_calls:
        reason = "tool_use"
    elif ending == "sequence" or sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    else:
        reason = "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}


def _matched(choice: dict[str, Any]) -> str | None:
    """The stop sequence that ended it, if one did; a number is a token of the model's."""
    reason, matched, beside = (choice.get(name) for name in STOP_MEMBERS)
    if string(matched):
        return string(matched)
    return string(beside) if string(beside) and not is_reason(string(beside), reason) else None


def message_usage(counts: Counts | None) -> dict[str, Any]:
    """Anthropic's input tokens leave out what was read from and written to a cache."""
    counts = counts or Counts()
    used_by_input, output = (amount or 0 for amount in counts.believed(0, 0))
    translated: dict[str, Any] = {
        "input_tokens": max(used_by_input - counts.read - counts.written, 0),
        "cache_creation_input_tokens": counts.written,
        "cache_read_input_tokens": counts.read,
        "output_tokens": output,
    }
    if counts.reasoning:
        translated["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    return translated


def _tool_use(
    call: dict[str, Any],
    origin: str,
    tools: Mapping[str, str],
    used: set[str],
    inputs: ToolInputs,
) -> dict[str, Any] | None:
    """None for a call of nothing."""
    function = function_of(call)
    name, given = string(function.get("name")), inputs.as_object(function.get("arguments"))
    if not name and not given:
        return None
    name = tools.get(name, name) or UNNAMED
    return {**tool_use(call, name, origin, used), "input": given}
