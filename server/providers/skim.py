"""Skim: finding what a reply says that was used without parsing it, as it is too large for that."""

import json
import re
from collections.abc import Callable
from typing import Any

from server.providers.usage import Counts

_NAME = b'"usage"'
_VALUE = re.compile(rb"\s{0,100}:\s{0,100}(?=\{)")
_WINDOW_BYTES = 1024 * 1024
"""Searched in one go, in which nothing else runs."""
_LONGEST_USAGE = 4096
_MOST_FOUND = 100
_decode = json.JSONDecoder().raw_decode


def find_usage(reply: bytes, read: Callable[[Any], Counts | None]) -> Counts | None:
    """What `read` makes of the member `usage`; None if it is not there, or that is not certain.

    Of several the most of each that costs, and the least that costs less: which one is the reply's
    own is not known without parsing, and the input of a tool's call can have a member of any name,
    so that a user could choose a cheaper one.
    """
    best: Counts | None = None
    at = found = 0
    while at < len(reply):
        name = reply.find(_NAME, at, at + _WINDOW_BYTES)
        if name < 0:
            at += _WINDOW_BYTES - len(_NAME) + 1
            continue
        at, found = name + len(_NAME), found + 1
        if found > _MOST_FOUND:
            return None
        value = _VALUE.match(reply, at)
        usage = read(_object_at(reply, value.end())) if value else None
        if usage is not None:
            best = usage if best is None else best.dearest(usage)
    return best


def _object_at(reply: bytes, at: int) -> Any:
    text = reply[at : at + _LONGEST_USAGE].decode(errors="replace")
    try:
        return _decode(text)[0]
    except (ValueError, RecursionError):
        return None
