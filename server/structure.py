"""What a JSON text would take to parse, told without building any of it.

Parsing holds up all other requests of a worker, and what it makes can be forty times as large as
the text: bytes alone say little. A string of 10 MiB is one value, as much of `{}` millions.
"""

import re
import sys
from dataclasses import dataclass
from typing import Any

import orjson

# What a value begins with or comes after, so that there are at most as many values as these, and
# one. In strings they mean nothing.
_MARKS = b"{[,:"
_ALL_ELSE = bytes(set(range(256)) - set(_MARKS))
# The next string, without escapes, opening, closing or other mark, or the end. Whatever the text
# is, it is gone through once: what is between two of them belongs to the second, and a string may
# lack its end.
_TOKEN = re.compile(rb'[^"{}\[\],:]*+(?:"[^"]*+"?+|([{\[])|([}\]])|([,:])|\Z)')
_OPENING, _CLOSING, _MARK = range(1, 4)

VALUE_BYTES = 100
"""What a value takes in memory besides its text, at most, as Python's objects."""

MOST_WRITTEN_DEPTH = 128
"""Of what is written again, in something else: 254 levels can be, and more be read."""


@dataclass(slots=True)
class Structure:
    """`values`: objects, arrays, members' names, strings, numbers and so on, at most; `depth`: how
    deeply they are nested."""

    values: int
    depth: int


def structure_of(text: bytes | bytearray, most_values: int, most_depth: int) -> Structure | None:
    """None if it exceeds the bounds; of valid JSON it is said so rightly.

    Takes 4 ms for 10 MiB, and where the strings have to be told from the rest, at most 80 ms more
    and 0.5 us for each value up to the bound.
    """
    found = text.translate(None, _ALL_ELSE)
    marks, opening = len(found), found.count(b"{") + found.count(b"[")
    if marks < most_values and opening <= most_depth:
        return Structure(marks + 1, opening)
    marks = depth = deepest = 0
    # Between two strings of valid JSON there is a mark or a closing bracket, and each of those
    # closes another mark.
    most_tokens = 3 * most_values + 3
    text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    for count, token in enumerate(_TOKEN.finditer(text)):
        kind = token.lastindex
        if kind == _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif kind == _CLOSING:
            depth -= 1
        if kind in (_OPENING, _MARK):
            marks += 1
        if marks >= most_values or depth > most_depth or count > most_tokens:
            return None
    return Structure(marks + 1, deepest)


def is_too_deep(value: Any) -> bool:
    """Of what was read: has it more than MOST_WRITTEN_DEPTH levels?"""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return structure_of(text, sys.maxsize, MOST_WRITTEN_DEPTH) is None
