"""JSON of providers, read leniently: what is missing or odd in it reads as nothing.

RFC 8259 (8.2) allows "\\ud83d" alone, as servers write it that cut texts in UTF-16; orjson does
not read it, `parse` does.
"""

import re
from typing import Any

import orjson

from server.amounts import is_amount

_ESCAPED = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LONGEST = 256
_MOST_MENDED = 50_000
"""Escapes to look at, which takes 15 ms; texts with one that is wrong have far fewer."""


def parse(data: bytes) -> Any:
    """`data` with U+FFFD for each half of a character. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if data.count(b"\\") > _MOST_MENDED:
            raise
        mended = _ESCAPED.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)
        if mended == data:
            raise
        return orjson.loads(mended)


def has_halves(data: bytes) -> bool:
    """Has it a half of a character that `parse` would replace?"""
    if b"\\" not in data or data.count(b"\\") > _MOST_MENDED:
        return False
    return any(found[1] for found in _ESCAPED.finditer(data))


def string(value: Any) -> str:
    """What should be a string, '' if it is not."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int:
    """What should be a number of tokens, or a place in a list; 0 if it is not."""
    return value if is_amount(value) else 0


def small(value: Any) -> Any:
    """What may be remembered of what should be a number or a word; "" for all that is larger."""
    is_large = isinstance(value, list | dict) or (isinstance(value, str) and len(value) > _LONGEST)
    return "" if is_large else value


def an_object(value: Any) -> dict[str, Any]:
    """What should be an object, {} if it is not."""
    return value if isinstance(value, dict) else {}


def a_list(value: Any) -> list[Any]:
    """What should be a list, [] if it is not."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of what should be a list of them; perhaps `value` itself."""
    if not isinstance(value, list):
        return []
    if len(value) == 1 and isinstance(value[0], dict):
        return value  # as in nearly all chunks of streams
    return [item for item in value if isinstance(item, dict)]
