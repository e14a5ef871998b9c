"""History: a conversation as endpoints of responses take it back, which would refuse in every turn
what was made here of other endpoints' answers: reasoning that they cannot read, and long IDs."""

from typing import Any

from server.providers.for_responses.state import is_ours
from server.providers.identifiers import call_for_openai
from server.providers.reading import objects, string

_LONGEST_CALL_ID = 64


def for_openai(body: dict[str, Any]) -> dict[str, Any]:
    """`body` itself if nothing in it is refused."""
    items = body.get("input")
    if not isinstance(items, list) or not any(map(_is_refused, objects(items))):
        return body
    taken = [item for item in items if not (isinstance(item, dict) and is_ours(item))]
    return {**body, "input": [_with_short_id(item) for item in taken]}


def _is_refused(item: dict[str, Any]) -> bool:
    return is_ours(item) or len(string(item.get("call_id"))) > _LONGEST_CALL_ID


def _with_short_id(item: Any) -> Any:
    if not isinstance(item, dict) or not _is_refused(item):
        return item
    return {**item, "call_id": call_for_openai(item["call_id"])}
