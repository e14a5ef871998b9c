"""The items of a response's input as messages of a chat completion, one for each.

- Texts of the system and of developers are the system's, where they stand.
- Calls of custom tools have their text as the one argument of a function.
- Reasoning goes back to the endpoint that gave it alone, before what it led to.
- Left out, as they change no answer: `_IGNORED` of any item or part.
"""

from collections.abc import Callable
from typing import Any

import orjson

from server.providers.for_responses.tools import INPUT, sent_name
from server.providers.kept import refers_to_reasoning
from server.providers.members import fault, members, required_string, typed
from server.providers.reading import string

Message = dict[str, Any]
Part = dict[str, Any]

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = ("input_text", "output_text", "text")
_IMAGE, _REFUSAL = "input_image", "refusal"
_PARTS = {
    "user": (*_TEXTS, _IMAGE),
    "assistant": (*_TEXTS, _REFUSAL),
    "system": _TEXTS,
    "tool": (*_TEXTS, _IMAGE),
}
_CALLS = {"function_call": "arguments", "custom_tool_call": INPUT}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_ITEMS = ("message", "reasoning", *_CALLS, *_OUTPUTS)
_IGNORED = ("id", "status", "phase", "annotations", "logprobs", "prompt_cache_breakpoint")
# Where a call comes from: with no tool of the provider's, directly from the model.
_IGNORED_OF_CALLS = (*_IGNORED, "async", "caller")

CallOfClient = Callable[[str], dict[str, Any]]


class Items:
    """Those of one request."""

    def __init__(
        self, call_of: CallOfClient, thoughts_of: Callable[[dict[str, Any]], Message | None]
    ) -> None:
        """`call_of`: the members of a call with the client's ID; `thoughts_of`: a message with the
        reasoning of an item, None if it does not go back."""
        self.messages: list[Message] = []
        self.paths: list[str] = []
        """Of each message, where it was in the request."""
        self._call_of = call_of
        self._thoughts_of = thoughts_of
        self._thoughts: list[tuple[Message, str]] = []
        """Of which nobody knows yet what they led to."""

    def add(self, given: Any) -> None:
        """Raises Unsupported."""
        if isinstance(given, str):
            self.append({"role": "user", "content": given}, "input")
            return
        for number, item in enumerate(typed(given, list, "input")):
            path = f"input.{number}"
            if refers_to_reasoning(item):
                continue
            kind = typed(item, dict, path).get("type", "message" if "role" in item else None)
            if kind not in _ITEMS:
                raise fault(f"{path}.type", f"must be one of {', '.join(_ITEMS)} with this model")
            if kind == "reasoning":
                if (thoughts := self._thoughts_of(item)) is not None:
                    self._thoughts.append((thoughts, path))
            else:
                self.append(self._message(item, kind, path), path)

    def append(self, message: Message, path: str) -> None:
        """After the thoughts that led to it, if it is the model's own."""
        waiting, self._thoughts = self._thoughts, []
        for thoughts, place in waiting if message["role"] == "assistant" else ():
            self.messages.append(thoughts)
            self.paths.append(place)
        self.messages.append(message)
        self.paths.append(path)

    def _message(self, item: dict[str, Any], kind: str, path: str) -> Message:
        if kind in _CALLS:
            return self._call(item, kind, path)
        if kind in _OUTPUTS:
            known = ("type", "call_id", "output")
            given = members(item, path, known, (*_IGNORED_OF_CALLS, "name", "namespace"))
            call = self._call_of(required_string(given, "call_id", path))
            content = _content(given.get("output"), "tool", f"{path}.output")
            return {"role": "tool", "tool_call_id": call["id"], "content": content}
        given = members(item, path, ("type", "role", "content"), _IGNORED)
        role = _ROLES.get(string(given.get("role")))
        if role is None:
            raise fault(f"{path}.role", f"must be one of {', '.join(_ROLES)}")
        return {"role": role, "content": _content(given.get("content"), role, f"{path}.content")}

    def _call(self, item: dict[str, Any], kind: str, path: str) -> Message:
        member = _CALLS[kind]
        known = ("type", "call_id", "name", "namespace", member)
        given = members(item, path, known, _IGNORED_OF_CALLS)
        required_string(given, "name", path)
        arguments = typed(given.get(member, ""), str, f"{path}.{member}")
        if kind == "custom_tool_call":
            arguments = orjson.dumps({INPUT: arguments}).decode()
        function = {"name": sent_name(given), "arguments": arguments}
        call = self._call_of(required_string(given, "call_id", path))
        called = {**call, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [called]}


def _content(content: Any, role: str, path: str) -> str | list[Part]:
    """Of a message; a string if it is nothing but text, because many servers take no lists."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise fault(path, "must be a string or a list")
    texts: list[str] = []
    parts: list[Part] = []
    for number, part in enumerate(content):
        here = f"{path}.{number}"
        kind = typed(part, dict, here).get("type")
        if kind not in _PARTS[role]:
            raise fault(f"{here}.type", f"must be {' or '.join(_PARTS[role])} with this model")
        if kind == _IMAGE:
            parts.append(_image(part, here))
            continue
        member = _REFUSAL if kind == _REFUSAL else "text"
        given = members(part, here, ("type", member), _IGNORED)
        texts.append(typed(given.get(member), str, f"{here}.{member}"))
        parts.append({"type": "text", "text": texts[-1]})
    if len(parts) > len(texts):
        return parts
    return ("" if role == "assistant" else "\n").join(texts)


def _image(part: Part, path: str) -> Part:
    given = members(part, path, ("type", "image_url", "detail"), _IGNORED)
    image = {"url": required_string(given, "image_url", path)}
    detail = typed(given.get("detail", "auto"), str, f"{path}.detail")
    return {
        "type": "image_url",
        "image_url": image if detail == "auto" else {**image, "detail": detail},
    }
