"""What a request for responses would have kept at the provider, or refers to there.

A provider keeps it for its account, which is the tenant's: whoever has an ID, has what was said.
"""

from typing import Any

from server.errors import Unsupported
from server.providers.reading import a_list, string

_NEVER = ("background", "conversation", "prompt")
_NOTHING = (None, False)


def refuse_kept(body: dict[str, Any]) -> None:
    """What no endpoint may be asked for, whatever it allows. Raises Unsupported."""
    for name in _NEVER:
        if body.get(name) not in _NOTHING:
            raise Unsupported(name, f"{name} is kept at the provider, and not served here")
    for number, item in enumerate(a_list(body.get("input"))):
        if isinstance(item, dict) and _is_reference(item) and not refers_to_reasoning(item):
            path = f"input.{number}"
            raise Unsupported(path, f"{path} refers to an item, and none is kept here: send it all")


def without_kept(items: list[Any]) -> list[Any]:
    """Without reasoning that has nothing but an ID: apps send back what they have got. Where
    nothing is kept no provider finds it any more; elsewhere it may be another user's."""
    return [item for item in items if not _is_mere_reasoning(item)]


def refers_to_reasoning(item: Any) -> bool:
    """The AI SDK sends the reasoning of an earlier step back so, and all else in full."""
    return (
        isinstance(item, dict)
        and item.get("type") == "item_reference"
        and string(item.get("id")).startswith("rs_")
    )


def _is_reference(item: dict[str, Any]) -> bool:
    match item.get("type"):
        case "item_reference":
            return True
        case "image_generation_call":  # a picture by its ID
            return not item.get("result")
        case None:
            return item.get("role") is None and "id" in item
    return False


def _is_mere_reasoning(item: Any) -> bool:
    return refers_to_reasoning(item) or (
        isinstance(item, dict)
        and item.get("type") == "reasoning"
        and not item.get("encrypted_content")
        and not item.get("content")
    )
