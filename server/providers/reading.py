"""JSON of providers, read with half characters too.

RFC 8259 (8.2) allows "\\ud83d" alone, as servers write it that cut texts in UTF-16; orjson does
not read it.
"""

import re
from typing import Any

import orjson

_ESCAPED = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def parse(data: bytes) -> Any:
    """`data` with U+FFFD for each half of a character. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        mended = _ESCAPED.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)
        if mended == data:
            raise
        return orjson.loads(mended)
