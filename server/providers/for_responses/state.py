"""State: what an endpoint wants back in the next turn, inside the `encrypted_content` of reasoning.

Of a chat completion it is the mark that clients of messages get as a signature
(for_messages/state.py); of a message the signature of its thoughts, or those that are redacted.
The endpoint that gave it gets it back as it was, others do not.
"""

from collections.abc import Iterator
from typing import Any

from server.providers.for_messages.details import Decoder
from server.providers.for_messages.state import MARK, gave, marked, reasoning_of, unmarked
from server.providers.reading import objects, string

_SIGNED, _REDACTED = "signed", "redacted"


def sealed(kind: str, given: str, origin: str) -> str:
    """The encrypted content for a block of the type `kind`: `given` is its signature, or its data;
    '' if there is nothing to go back."""
    if not given or given.startswith(MARK):
        return given
    if not origin:
        return ""
    return marked(origin, _REDACTED if kind == "redacted_thinking" else _SIGNED, given)


def block_of(item: dict[str, Any], origin: str) -> dict[str, Any] | None:
    """The block of a message that the reasoning was made of, if the endpoint `origin` gave it."""
    member, given = unmarked(string(item.get("encrypted_content")), origin)
    if member == _REDACTED and given:
        return {"type": "redacted_thinking", "data": given}
    if member == _SIGNED and given:
        return {"type": "thinking", "thinking": text_of(item), "signature": given}
    return None


def members_of(item: dict[str, Any], origin: str, decoder: Decoder) -> dict[str, Any]:
    """The members of a chat completion's message that it was made of, if the endpoint `origin` gave
    it; else {}."""
    block = {"signature": item.get("encrypted_content"), "thinking": text_of(item)}
    return reasoning_of(block, origin, decoder)


def text_of(item: dict[str, Any]) -> str:
    """Of reasoning; clients send back what they were given of it, wherever they have it."""
    parts = objects(item.get("summary")) or objects(item.get("content"))
    return "".join(string(part.get("text")) for part in parts)


def origin_in(body: dict[str, Any], origin: str) -> str:
    """`origin` if the endpoint of this name gave something that the conversation keeps, else ''."""
    return origin if any(gave(origin, kept) for kept in _kept(body)) else ""


def is_ours(item: dict[str, Any]) -> bool:
    """Is it reasoning that was made here, which OpenAI cannot read?"""
    return item.get("type") == "reasoning" and string(item.get("encrypted_content")).startswith(
        MARK
    )


def _kept(body: dict[str, Any]) -> Iterator[str]:
    """What may be a mark, or an ID that we spelled."""
    for item in objects(body.get("input")):
        yield string(
            item.get("encrypted_content" if item.get("type") == "reasoning" else "call_id")
        )
