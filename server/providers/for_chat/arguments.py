"""The arguments of the tools that a conversation has called: JSON in strings."""

from typing import Any

import orjson

from server.providers.members import fault
from server.structure import structure_of

MOST_VALUES = 50_000
MOST_DEPTH = 128


class Arguments:
    """Of all calls of one request, which together may have no more values than a whole request: in
    its own structure each is but one string."""

    def __init__(self) -> None:
        self._values_left = MOST_VALUES

    def read(self, text: str, path: str) -> dict[str, Any]:
        """Those of one call. Raises Unsupported."""
        raw = text.encode()
        structure = structure_of(raw, self._values_left, MOST_DEPTH)
        if structure is None:
            raise fault(path, "has too many values, or is nested too deeply")
        self._values_left -= structure.values
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise fault(path, "must be a JSON object")
        return value
