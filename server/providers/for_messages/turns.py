"""The system prompt and the turns of an Anthropic request as messages of a chat completion.

- The results of tools become messages of their own, before the rest of their turn; one with
  `is_error` begins with "Error: ". They take text alone: an image of one has a number there, and
  stands under it in the user's message that follows.
- Answers in a row are one, as Anthropic takes them: the results of all calls come after it.
- Text blocks beside nothing but text become one string, because many servers take no lists:
  a newline between those of a prompt, nothing between those of an answer, as they were made.
- A conversation that ends with the assistant is refused: chat completions do not continue it.
- Thinking of earlier answers is left out, which only its own model can read; but what the endpoint
  itself gave, as state.py knows it, becomes what it was.
- Left out, as they change no answer: `_IGNORED` of any block; empty text.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from server.providers.for_messages.details import Decoder
from server.providers.for_messages.state import call_of_client, reasoning_of
from server.providers.identifiers import tool_for_openai
from server.providers.images import MEDIA_TYPES, media_type_of
from server.providers.members import fault, members, required_string, typed

Message = dict[str, Any]
Part = dict[str, Any]

_BLOCKS = {
    "text": ("type", "text"),
    "image": ("type", "source"),
    "tool_use": ("type", "id", "name", "input"),
    "tool_result": ("type", "tool_use_id", "content", "is_error"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
}
_OF_USERS = ("text", "image", "tool_result")
_OF_RESULTS = ("text", "image")
_OF_ASSISTANTS = ("text", "tool_use", "thinking", "redacted_thinking")
_IGNORED = ("cache_control", "citations", "caller", "transformations")


def from_turns(system: Any, turns: Any, origin: str = "") -> list[Message]:
    """The messages of a chat completion; `system` is None if there is none, `origin` the name of
    the endpoint. Raises Unsupported."""
    found = [] if system is None else list(_system(system, "system"))
    path, role, decoder = "", None, Decoder()
    answer = _Answer(origin, decoder)
    for number, turn in enumerate(typed(turns, list, "messages")):
        path = f"messages.{number}"
        turn = members(turn, path, ("role", "content"))
        role, content = turn.get("role"), turn.get("content")
        if role != "assistant" and answer.has_begun:
            found.append(answer.message())
            answer = _Answer(origin, decoder)
        if role == "user":
            found += _user(content, f"{path}.content", origin)
        elif role == "assistant":
            answer.add(content, f"{path}.content")
        elif role == "system":
            found += _system(content, f"{path}.content")
        else:
            raise fault(f"{path}.role", "must be user, assistant or system")
    if role == "assistant":
        raise fault(path, "must not be the assistant's: this model cannot continue an answer")
    if not path:
        raise fault("messages", "must not be empty")
    return found


def _system(content: Any, path: str) -> Iterator[Message]:
    if text := _text(content, path):
        yield {"role": "system", "content": text}


def _user(content: Any, path: str, origin: str) -> list[Message]:
    results: list[Message] = []
    texts: list[str] = []
    parts: list[Part] = []
    images: list[Part] = []
    for here, kind, block in _blocks(content, path, _OF_USERS):
        if kind == "tool_result":
            results.append(_tool_result(block, here, origin, images))
        elif kind == "image":
            parts.append(_image(block, here))
        elif text := _text_of(block, here):
            texts.append(text)
            parts.append(_text_part(text))
    if images or len(parts) > len(texts):
        return [*results, {"role": "user", "content": [*images, *parts]}]
    if results and not texts:
        return results
    return [*results, {"role": "user", "content": "\n".join(texts)}]


class _Answer:
    """Of one turn of the assistant, or of some in a row."""

    def __init__(self, origin: str, decoder: Decoder) -> None:
        self.has_begun = False
        self._origin = origin
        self._decoder = decoder
        self._texts: list[str] = []
        self._thoughts: dict[str, list[str]] = {}
        self._details: dict[str, list[dict[str, Any]]] = {}
        self._calls: list[dict[str, Any]] = []

    def add(self, content: Any, path: str) -> None:
        """Raises Unsupported."""
        self.has_begun = True
        for here, kind, block in _blocks(content, path, _OF_ASSISTANTS):
            if kind == "text":
                self._texts.append(_text_of(block, here))
            elif kind == "tool_use":
                self._calls.append(_tool_call(block, here, self._origin))
            elif kind == "thinking":
                self._add_thoughts(reasoning_of(block, self._origin, self._decoder))

    def _add_thoughts(self, found: dict[str, Any]) -> None:
        for member, value in found.items():
            if isinstance(value, str):
                self._thoughts.setdefault(member, []).append(value)
            else:
                self._details.setdefault(member, []).extend(value)

    def message(self) -> Message:
        text = "".join(self._texts)
        thoughts = {member: "".join(parts) for member, parts in self._thoughts.items()}
        reasoning = {**thoughts, **self._details}
        if not self._calls:
            return {"role": "assistant", "content": text, **reasoning}
        content = text or None
        return {"role": "assistant", "content": content, **reasoning, "tool_calls": self._calls}


def _tool_call(block: dict[str, Any], path: str, origin: str) -> dict[str, Any]:
    try:
        arguments = orjson.dumps(typed(block.get("input"), dict, f"{path}.input")).decode()
    except orjson.JSONEncodeError as error:
        raise fault(f"{path}.input", "is nested too deeply") from error
    name = tool_for_openai(required_string(block, "name", path))
    function = {"name": name, "arguments": arguments}
    call = call_of_client(required_string(block, "id", path), origin)
    return {**call, "type": "function", "function": function}


def _tool_result(block: dict[str, Any], path: str, origin: str, images: list[Part]) -> Message:
    """`images` are those of the turn's results, each after its number; this one's are added."""
    texts = []
    for here, kind, inner in _blocks(block.get("content", ""), f"{path}.content", _OF_RESULTS):
        if kind == "text":
            texts.append(_text_of(inner, here))
            continue
        texts.append(f"[image {len(images) // 2 + 1}]")
        images += [_text_part(f"{texts[-1]}:"), _image(inner, here)]
    text = "\n".join(filter(None, texts))
    if typed(block.get("is_error", False), bool, f"{path}.is_error"):
        text = f"Error: {text}"
    call_id = call_of_client(required_string(block, "tool_use_id", path), origin)["id"]
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _image(block: dict[str, Any], path: str) -> Part:
    return {"type": "image_url", "image_url": {"url": _image_url(block, path)}}


def _image_url(block: dict[str, Any], path: str) -> str:
    path = f"{path}.source"
    source = members(block.get("source"), path, ("type", "media_type", "data", "url", "file_id"))
    if source.get("type") == "base64":
        media_type = media_type_of(required_string(source, "media_type", path))
        if media_type is None:
            raise fault(f"{path}.media_type", f"must be one of {', '.join(MEDIA_TYPES)}")
        return f"data:{media_type};base64,{required_string(source, 'data', path)}"
    if source.get("type") != "url":
        raise fault(f"{path}.type", "must be base64 or url with this model")
    url = required_string(source, "url", path)
    if url[:8].lower() != "https://":
        raise fault(f"{path}.url", "must begin with https://")
    return url


def _text(content: Any, path: str) -> str:
    """The text of what may hold nothing else."""
    texts = [_text_of(block, here) for here, _, block in _blocks(content, path, ("text",))]
    return "\n".join(text for text in texts if text)


def _text_of(block: dict[str, Any], path: str) -> str:
    return typed(block.get("text"), str, f"{path}.text")


def _blocks(
    content: Any, path: str, kinds: tuple[str, ...]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The path, type and members of each block; a string is one of text."""
    if isinstance(content, str):
        yield path, "text", {"text": content}
        return
    if not isinstance(content, list):
        raise fault(path, "must be a string or a list of blocks")
    for number, block in enumerate(content):
        here = f"{path}.{number}"
        kind = typed(block, dict, here).get("type")
        if not isinstance(kind, str) or kind not in kinds:
            raise fault(here, f"must be of type {' or '.join(kinds)} with this model")
        yield here, kind, members(block, here, _BLOCKS[kind], _IGNORED)
