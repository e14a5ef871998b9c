"""Annotations: where the text of an answer comes from, as searching models tell it."""

from typing import Any

from server.providers.reading import an_object, count, objects, string

_MOST = 200
_LONGEST = 4_096


def annotations_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a message or a delta."""
    cited = [an_object(one.get("url_citation")) for one in objects(message.get("annotations"))]
    return [_cited(one) for one in cited[:_MOST] if one.get("url")]


def _cited(source: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": string(source.get("url"))[:_LONGEST],
        "title": string(source.get("title"))[:_LONGEST],
        "start_index": count(source.get("start_index")),
        "end_index": count(source.get("end_index")),
    }
