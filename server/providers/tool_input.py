"""What a tool is called with: an object, whatever a provider gives for it.

The arguments of a chat completion's calls are JSON in a string. Some servers give the object
itself, null or nothing for none, or JSON that is in a string once more.
"""

from typing import Any

import orjson

from server.providers.bounds import MOST_REPLY_VALUES
from server.providers.reading import parse
from server.structure import structure_of

MOST_DEPTH = 128
"""Less than can be written again."""


class ToolInputs:
    """Those of one answer, which together may have no more values than a reply that is parsed: in
    its own structure each is but one string."""

    def __init__(self) -> None:
        self._values_left = MOST_REPLY_VALUES

    def as_object(self, arguments: Any) -> dict[str, Any]:
        """`{"arguments": <what they are>}` for those that are no object, or too much to be looked
        into: both who runs the tool and the model see what was wrong."""
        value = arguments
        for _ in range(2):
            value = self._parsed(value) if isinstance(value, str) else value
        if value is None:
            return {}
        return value if isinstance(value, dict) else {"arguments": arguments}

    def is_object(self, text: str) -> bool:
        """Is it the JSON of one? What is too much to be looked into may be."""
        value = self._parsed(text)
        return isinstance(value, dict) or (not self._values_left and text.rstrip().endswith("}"))

    def _parsed(self, text: str) -> Any:
        """None for nothing, `text` itself for what is no JSON."""
        raw = text.strip().encode(errors="replace")
        if not raw:
            return None
        structure = self._values_left and structure_of(raw, self._values_left, MOST_DEPTH)
        if not structure:
            self._values_left = 0  # to find that out has taken as long as they would
            return text
        self._values_left -= structure.values
        try:
            return parse(raw)
        except orjson.JSONDecodeError:
            return text
