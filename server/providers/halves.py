"""Halves: characters that a stream cuts in two.

Servers that cut texts in UTF-16 write one half of a character at the end of an event and the other
at the beginning of the next, each as its escape. Passed on as they came the client joins them;
where events are translated they are joined here.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson

from server.providers import reading

ESCAPE = b"\\u"
_FIRST = re.compile("[\ud800-\udbff]\\Z")
_SECOND = re.compile("[\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_LONGEST = 64 * 1024
"""Of an event that is looked into; deltas are far smaller."""
_UNKNOWN = "\ufffd"

Path = tuple[str | int, ...]


class Halves:
    """Of one stream."""

    def __init__(self) -> None:
        self.first = ""
        """The half that waits for the other; '' if none does."""
        self._path: Path = ()
        """Where it stood in its event."""
        self._alone: dict[str, Any] = {}
        """That event with nothing but U+FFFD there, for the case that the other does not come."""

    def joined(self, data: bytes, event: dict[str, Any]) -> list[dict[str, Any]]:
        """What to translate instead of `event`, which is `data` parsed with U+FFFD for halves. Need
        not be asked if there is no ESCAPE in `data` and nothing waits."""
        has_halves = len(data) <= _LONGEST and reading.has_halves(data)
        if not self.first and not has_halves:
            return [event]
        events = []
        event = _with_halves(data, event) if has_halves else event
        if self.first:
            text = _at(event, self._path)
            if isinstance(text, str) and _SECOND.match(text):
                whole = (self.first + text[0]).encode("utf-16", "surrogatepass").decode("utf-16")
                _put(event, self._path, whole + text[1:])
            else:
                events.append(self._alone)
            self.first = ""
        for path, text in list(_texts(event)):
            if _FIRST.search(text) and not self.first:
                self.first, self._path = text[-1], path
                self._alone = deepcopy(event)
                _put(self._alone, path, _UNKNOWN)
                text = text[:-1]
            _put(event, path, _HALF.sub(_UNKNOWN, text))
        return [*events, event]


def dumps_like(data: bytes, event: dict[str, Any], **changed: Any) -> bytes:
    """`event`, which is `data` parsed, with members changed; its halves as they are in `data`."""
    if reading.has_halves(data):
        return json.dumps({**_with_halves(data, event), **changed}).encode()
    return orjson.dumps({**event, **changed})


def _with_halves(data: bytes, event: dict[str, Any]) -> dict[str, Any]:
    """`event`, which is `data` parsed, with its halves."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return event
    return parsed if isinstance(parsed, dict) else event


def _texts(event: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    waiting: list[tuple[Path, Any]] = [((), event)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if _HALF.search(value):
                yield path, value
        elif isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, number), inner) for number, inner in enumerate(value)]


def _at(value: Any, path: Path) -> Any:
    """None if there is nothing."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _put(event: Any, path: Path, text: str) -> None:
    *way, last = path
    _at(event, tuple(way))[last] = text
