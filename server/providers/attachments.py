"""Attachments: what of a request is no text, and whether it can be said what that costs."""

import re
from collections.abc import Iterator
from typing import Any

from server.providers.reading import a_list, an_object, string

_IMAGES_BY_URL = frozenset({"image_url", "input_image", "computer_screenshot"})
_TEXTS = frozenset({"text", "input_text"})
# Is in the types and members of parts that are no text and no image.
_UNBOUNDED_PART = re.compile("audio|video|file|document|pdf", re.IGNORECASE)
_DATA = re.compile("data:[^,]{0,200}", re.IGNORECASE)


def parts_of(name: str, turns: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part of each message or item of the member `name`, those in tool results and documents
    too, with its path."""
    waiting: list[tuple[str, Any]] = []
    for number, turn in enumerate(a_list(turns)):
        if not isinstance(turn, dict):
            continue
        for member in ("content", "output"):
            content = turn.get(member)
            if isinstance(content, list | dict):
                parts = content if isinstance(content, list) else [content]
                waiting.append((f"{name}.{number}.{member}", parts))
        if turn.get("audio") is not None:  # of an earlier answer
            waiting.append((f"{name}.{number}", [{"audio": turn["audio"]}]))
    while waiting:
        path, parts = waiting.pop()
        for number, part in enumerate(a_list(parts)):
            if not isinstance(part, dict):
                continue
            here, source = f"{path}.{number}", part.get("source")
            yield here, part
            waiting.append((f"{here}.content", part.get("content")))
            if isinstance(source, dict):
                waiting.append((f"{here}.source.content", source.get("content")))


def attachment(part: dict[str, Any]) -> tuple[int | None, bool]:
    """The bytes of a part's payload, None if it is text; and whether its cost can be bounded."""
    kind, source = part.get("type"), part.get("source")
    if kind in _IMAGES_BY_URL:
        image = part.get("image_url")
        url = string(image.get("url") if isinstance(image, dict) else image)
        data = _DATA.match(url)
        return len(url), data is None or not _UNBOUNDED_PART.search(data[0])
    if kind in ("input_audio", "file", "input_file"):
        inner = part if kind == "input_file" else an_object(part.get(kind))
        return len(string(inner.get("data") or inner.get("file_data"))), False
    if kind not in ("image", "document", "container_upload"):
        return _other_attachment(part)
    if not isinstance(source, dict):
        return 0, kind == "image"
    if kind == "document" and source.get("type") in ("text", "content"):
        return None, True
    is_bounded = kind == "image" and source.get("type") != "file"
    return len(string(source.get("data") or source.get("url"))), is_bounded


def _other_attachment(part: dict[str, Any]) -> tuple[int | None, bool]:
    """As `attachment`, of a part that is text, or what other servers have: by its type, or by a
    member, where they do without."""
    if len(part) == 2 and part.get("type") in _TEXTS and "text" in part:  # as nearly all
        return None, True
    names = [string(part.get("type")), *(name for name in part if part[name] is not None)]
    if any(_UNBOUNDED_PART.search(name) for name in names):
        return None, False
    return (0 if any("image" in name.casefold() for name in names) else None), True
