"""What a tool is called with: an object, whatever a provider gives for it.

The arguments of a chat completion's calls are JSON in a string. Some servers give the object
itself, null or nothing for none, or JSON that is in a string once more.
"""

from typing import Any

import orjson

from server.providers.bounds import MOST_REPLY_VALUES, can_be_parsed
from server.providers.reading import parse


def as_object(arguments: Any) -> dict[str, Any]:
    """`{"arguments": <what they are>}` for those that are no object: both who runs the tool and the
    model see what was wrong."""
    value = arguments
    for _ in range(2):
        value = _parsed(value) if isinstance(value, str) else value
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"arguments": arguments}


def _parsed(text: str) -> Any:
    """None for nothing, `text` itself for what is no JSON."""
    raw = text.strip().encode(errors="replace")
    if not raw:
        return None
    if not can_be_parsed(raw, MOST_REPLY_VALUES):
        return text
    try:
        return parse(raw)
    except orjson.JSONDecodeError:
        return text
