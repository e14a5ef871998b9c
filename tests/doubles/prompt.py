"""What a double reads in a request, in any protocol."""

import json
import re
from typing import Any

_KEY = re.compile("#([A-Za-z0-9-]+)")
CHARACTERS_PER_TOKEN = 4
_NAMES = ("system", "tools", "messages")


def key_of(body: dict[str, Any]) -> str:
    """The key in the last user message that has one, or in the texts of embeddings: `#<key>`
    anywhere in its text."""
    messages = body["messages"] if has_messages(body) else items_of_input(body)
    if messages is None:
        found = _KEY.search(json.dumps(body["input"]))
        return found[1] if found else ""
    for message in reversed(messages):
        if message.get("role") == "user" and (found := _KEY.search(text_of(message))):
            return found[1]
    return ""


def estimate(body: dict[str, Any]) -> int:
    """The input tokens of a request that no answer gives a count for; at least 1."""
    names = ("instructions", "tools", "input") if "input" in body else _NAMES
    asked = json.dumps([body.get(name) for name in names])
    return -(-len(asked) // CHARACTERS_PER_TOKEN)


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text")) for part in parts_of(message))


def parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts or blocks of a message; none when it is a plain text."""
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def has_messages(body: dict[str, Any]) -> bool:
    """There are some, and each is an object."""
    messages = body.get("messages")
    return bool(messages) and isinstance(messages, list) and all(map(_is_object, messages))


def items_of_input(body: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The items of a response's input, a text being a user's message; None: they are none."""
    given = body.get("input", [])
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return given if isinstance(given, list) and all(map(_is_object, given)) else None


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
