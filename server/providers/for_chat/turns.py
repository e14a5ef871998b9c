"""The messages of a chat completion as Anthropic's system prompt and turns.

- System and developer messages, wherever they are, become the system prompt, in their order.
- Messages of one role in a row become one turn; in it the tools' results come first, as they must.
- Text that is empty or only white space is left out, since Anthropic refuses it, and so are
  assistant messages without anything else.
- An assistant message at the end is continued, as Anthropic does; white space at its end goes.
- Left out, as they say nothing that Anthropic can be told: see `_IGNORED`, `_IGNORED_PARTS`.
"""

import re
from typing import Any, NamedTuple

from server.providers.for_chat.arguments import Arguments
from server.providers.identifiers import CallIds, tool_for_anthropic
from server.providers.images import media_type_of
from server.providers.members import fault, function, members, required_string, typed

Block = dict[str, Any]
Turn = dict[str, Any]

_MEMBERS = {
    "system": ("role", "content"),
    "developer": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "refusal", "tool_calls"),
    "tool": ("role", "content", "tool_call_id"),
}
_PARTS = {
    "user": ("text", "image_url"),
    "assistant": ("text", "refusal"),
    "tool": ("text", "image_url"),
}
THOUGHTS = ("thinking", "redacted_thinking")
# Anthropic takes thoughts with its own signature alone.
_IGNORED_PARTS = {"assistant": (*THOUGHTS, "reasoning")}
# What other clients add to messages and parts, mostly by sending back what they were sent.
_IGNORED = {
    *("annotations", "cache_control", "id", "name", "prompt_cache_breakpoint"),
    *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"),
    *("extra_content", "parsed", "provider_specific_fields"),
}
# A client that put a stream together may have kept the calls' `index`.
_IGNORED_OF_CALLS = {*_IGNORED - {"id"}, "index"}
_OF_FUNCTIONS = ("name", "arguments", "parsed_arguments", "thought_signature", *_IGNORED - {"name"})
_DATA_URI = re.compile(r"data:([^,]{1,100}?);base64,(?=.)", re.IGNORECASE)


class _Calls(NamedTuple):
    """What the calls of a conversation share. `signed`: types of parts that are Anthropic's own, as
    no client of chat completions has them."""

    ids: CallIds
    arguments: Arguments
    signed: tuple[str, ...]


def to_turns(messages: Any, has_signed: bool = False) -> tuple[list[Block], list[Turn]]:
    """The blocks of the system prompt, and the turns; `has_signed`: thoughts in them go back to who
    has signed them. Raises Unsupported."""
    system: list[Block] = []
    turns: list[Turn] = []
    speaker, calls = "", _Calls(CallIds(), Arguments(), THOUGHTS if has_signed else ())
    for number, message in enumerate(typed(messages, list, "messages")):
        path = f"messages.{number}"
        role = typed(message, dict, path).get("role")
        if not isinstance(role, str) or role not in _MEMBERS:
            raise fault(f"{path}.role", f"must be one of {', '.join(_MEMBERS)}")
        blocks = _message(members(message, path, _MEMBERS[role], _IGNORED), role, path, calls)
        if role in ("system", "developer"):
            speaker = "system"
            system += blocks
            continue
        speaker = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": speaker, "content": blocks})
    _finish(turns, speaker)
    return system, turns


def _finish(turns: list[Turn], last_speaker: str) -> None:
    """Puts them into the form that Anthropic wants."""
    if not turns:
        raise fault("messages", "must have a message that is not the system's and not empty")
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if turns[-1]["role"] == "user":
        return
    if last_speaker == "system":
        # The model would go on with the assistant's text instead of following the system.
        raise fault("messages", "must not end with a system message after the assistant's")
    last = turns[-1]["content"][-1]
    if last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _message(message: dict[str, Any], role: str, path: str, calls: _Calls) -> list[Block]:
    content = message.get("content", [] if role == "assistant" else None)
    kinds, ignored = _PARTS.get(role, ("text",)), _IGNORED_PARTS.get(role, ())
    blocks = _blocks(content, f"{path}.content", kinds, ignored, calls.signed)
    if role == "assistant":
        blocks += _text(typed(message.get("refusal", ""), str, f"{path}.refusal"))
        called = typed(message.get("tool_calls", []), list, f"{path}.tool_calls")
        blocks += [
            _tool_use(call, f"{path}.tool_calls.{number}", calls)
            for number, call in enumerate(called)
        ]
    elif role == "tool":
        result: Block = {"type": "tool_result"}
        # Some servers give no IDs, and clients send them back as they are.
        if message.get("tool_call_id") or not calls.ids.is_waiting(""):
            required_string(message, "tool_call_id", path)
        result["tool_use_id"] = calls.ids.of_result(message.get("tool_call_id", ""))
        return [{**result, "content": blocks} if blocks else result]
    elif role == "user" and not blocks:
        raise fault(f"{path}.content", "must not be empty")
    return blocks


def _blocks(
    content: Any,
    path: str,
    kinds: tuple[str, ...],
    ignored: tuple[str, ...],
    signed: tuple[str, ...],
) -> list[Block]:
    """`kinds`: the types of parts that may be here, besides the `ignored`; those that are `signed`
    stay as they are."""
    if isinstance(content, str):
        return _text(content)
    if not isinstance(content, list):
        raise fault(path, "must be a string or a list")
    blocks = []
    for number, part in enumerate(content):
        here = f"{path}.{number}"
        kind = typed(part, dict, here).get("type")
        if kind in signed:
            blocks.append(part)
            continue
        if kind in ignored:
            continue
        if kind not in kinds:
            raise fault(f"{here}.type", f"must be {' or '.join(kinds)}")
        value = members(part, here, ("type", kind), _IGNORED).get(kind)
        if kind == "image_url":
            blocks.append(_image(value, f"{here}.image_url"))
        else:
            blocks += _text(typed(value, str, f"{here}.{kind}"))
    return blocks


def _text(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _image(image: Any, path: str) -> Block:
    # Anthropic has one resolution: `detail` asks for what it cannot choose.
    url = required_string(members(image, path, ("url",), ("detail",)), "url", path)
    data_uri = _DATA_URI.match(url)
    media_type = media_type_of(data_uri[1]) if data_uri else None
    if data_uri and media_type:
        source = {"type": "base64", "media_type": media_type, "data": url[data_uri.end() :]}
    elif url[:8].lower() == "https://":
        source = {"type": "url", "url": url}
    else:
        what = "must be an https URL, or a data URI in base64 of a JPEG, PNG, GIF or WebP image"
        raise fault(path, what)
    return {"type": "image", "source": source}


def _tool_use(call: Any, path: str, calls: _Calls) -> Block:
    # Some servers leave the type out, and so does what their streams are put together to.
    call = {
        "type": "function",
        **members(call, path, ("id", "type", "function"), _IGNORED_OF_CALLS),
    }
    called = function(call, path, _OF_FUNCTIONS)
    here = f"{path}.function"
    return {
        "type": "tool_use",
        "id": calls.ids.of_call(typed(call.get("id", ""), str, f"{path}.id")),
        "name": tool_for_anthropic(typed(called.get("name"), str, f"{here}.name")),
        "input": calls.arguments.read(called.get("arguments"), f"{here}.arguments"),
    }
