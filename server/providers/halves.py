"""Halves: characters that a stream cuts in two.

Servers that cut texts in UTF-16 write one half of a character at the end of an event and the other
at the beginning of the next, each as its escape. Passed on as they came the client joins them;
where events are translated they are joined here.
"""

import json
import re
from contextlib import suppress
from typing import Any

import orjson

from server.providers import reading

ESCAPE = b"\\u"
_FIRST = re.compile("[\ud800-\udbff]\\Z")
_SECOND = re.compile("[\udc00-\udfff]")
_LONGEST = 16 * 1024
"""Of an event that is looked into; deltas are far smaller."""
_DEEPEST = 8
"""Of a text in its event; that of a call's arguments stands seven deep."""
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
        """An event with nothing but U+FFFD there, for the case that the other does not come."""

    def joined(self, data: bytes, event: dict[str, Any]) -> list[dict[str, Any]]:
        """What to translate instead of `event`, which is `data` parsed with U+FFFD for halves. Need
        not be asked if there is no ESCAPE in `data` and nothing waits."""
        has_halves = len(data) <= _LONGEST and reading.has_halves(data)
        if not has_halves and (not self.first or _says_nothing(event, self._path)):
            return [event]
        # Only read: it has what cannot be written again, as halves in names.
        halved = _with_halves(data, event) if has_halves else event
        events = []
        if self.first:
            other, text = _text_at(halved, self._path), _text_at(event, self._path)
            if text and _SECOND.match(other):
                whole = (self.first + other[0]).encode("utf-16", "surrogatepass").decode("utf-16")
                _put(event, self._path, whole + text[1:])
            else:
                events.append(self._alone)
            self.first = ""
        path = _path_of_first(halved)
        if path and (text := _text_at(event, path)):
            self.first, self._path = _text_at(halved, path)[-1], path
            self._alone = _alone(event, path)
            _put(event, path, text[:-1])
        return [*events, event]


def dumps_like(data: bytes, event: dict[str, Any], **changed: Any) -> bytes:
    """`event`, which is `data` parsed, with members changed; its halves as they are in `data`.
    Raises orjson.JSONEncodeError."""
    if reading.has_halves(data):
        with suppress(RecursionError):
            return json.dumps({**_with_halves(data, event), **changed}).encode()
    return orjson.dumps({**event, **changed})


def _with_halves(data: bytes, event: dict[str, Any]) -> dict[str, Any]:
    """`event`, which is `data` parsed, with its halves."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return event
    return parsed if isinstance(parsed, dict) else event


def _path_of_first(event: dict[str, Any]) -> Path:
    """Of a text that ends with the first half of a character; () if there is none."""
    waiting: list[tuple[Path, Any]] = [((), event)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if _FIRST.search(value):
                return path
        elif len(path) == _DEEPEST:
            continue
        elif isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, number), inner) for number, inner in enumerate(value)]
    return ()


def _says_nothing(event: dict[str, Any], path: Path) -> bool:
    """May the other half of what ended at `path` still come, as this is but a sign of life?"""
    if event.get("type") == "ping" or _at(event, path) == "":
        return True
    choices = reading.objects(event.get("choices"))
    return "choices" in event and not any(
        choice.get("finish_reason") or any(reading.an_object(choice.get("delta")).values())
        for choice in choices
    )


def _text_at(value: Any, path: Path) -> str:
    """'' if there is none."""
    return reading.string(_at(value, path))


def _at(value: Any, path: Path) -> Any:
    """None if there is nothing."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def _put(event: Any, path: Path, text: str) -> None:
    """There is one already."""
    *way, last = path
    for step in way:
        event = event[step]
    event[last] = text


def _alone(event: Any, path: Path) -> dict[str, Any]:
    """The event with U+FFFD for its text at `path`, and else only what tells where that belongs."""
    kept: Any = _UNKNOWN
    ways = [event]
    for step in path[:-1]:
        ways.append(ways[-1][step])
    for step, holder in zip(reversed(path), reversed(ways), strict=True):
        if isinstance(holder, list):
            kept = [kept]
        else:
            placed = {name: reading.small(holder.get(name)) for name in ("type", "index")}
            known = {name: value for name, value in placed.items() if name in holder}
            kept = {**known, step: kept}
    found: dict[str, Any] = kept
    return found
