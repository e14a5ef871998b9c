"""Items of a conversation that a client adds: which there may be, and what they are in tokens."""

from typing import Any

from server.errors import Unsupported
from server.providers.reading import objects
from server.voice.audio import HEARD_TOKENS, SPOKEN_TOKENS, decoded
from server.voice.context import tokens_of
from server.voice.opening import Event

ITEM_TOKENS = 8
"""Around what is in it."""
_KINDS = frozenset({"message", "function_call", "function_call_output"})
REFERENCE = "item_reference"
_SPOKEN = frozenset({"audio", "output_audio"})
_NOT_TEXT = frozenset(
    {
        *("audio", "call_id", "content", "detail", "id", "image_url", "object", "role", "status"),
        "type",
    }
)
_PARTS = frozenset({"text", "input_text", "output_text", "input_audio", "input_image", *_SPOKEN})


def check(item: Any, path: str, kinds: frozenset[str] = _KINDS) -> None:
    """Raises Unsupported for one that runs at the provider, or is of a kind that nobody knows."""
    if not _is_one_of(item, kinds):
        raise Unsupported(path, f"{path} must be one of {', '.join(sorted(kinds))}")
    content = item.get("content")
    if content is not None and not isinstance(content, list):
        raise Unsupported(f"{path}.content", f"{path}.content must be a list")
    for number, part in enumerate(content or ()):
        if not _is_one_of(part, _PARTS):
            place = f"{path}.content.{number}"
            raise Unsupported(place, f"{place} must be one of {', '.join(sorted(_PARTS))}")


def _is_one_of(value: Any, kinds: frozenset[str]) -> bool:
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind in kinds


def check_input(items: Any, path: str) -> None:
    """As `check`, of the items that a response is asked for with."""
    if not isinstance(items, list):
        raise Unsupported(path, f"{path} must be a list")
    for number, item in enumerate(items):
        check(item, f"{path}.{number}", _KINDS | {REFERENCE})


def measure(item: Event, input_rate: int, image_tokens: int) -> int:
    """In tokens. `input_rate`: bytes of a second of the user's audio."""
    tokens = ITEM_TOKENS + _read(item)
    for part in objects(item.get("content")):
        heard = part.get("audio")
        if isinstance(heard, str):
            rate = SPOKEN_TOKENS if _is_one_of(part, _SPOKEN) else HEARD_TOKENS
            tokens += -(-decoded(heard) * rate // input_rate)
        if part.get("image_url") is not None or part.get("type") == "input_image":
            tokens += image_tokens
        tokens += _read(part)
    return tokens


def _read(members: Event) -> int:
    """Of those that a model reads as text."""
    return sum(tokens_of(value) for name, value in members.items() if name not in _NOT_TEXT)


def is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == REFERENCE
