"""The arguments of the tools that a conversation has called: JSON in strings, as a rule."""

from typing import Any

import orjson

from server.providers.members import fault
from server.providers.reading import parse
from server.structure import structure_of

MOST_VALUES = 50_000
MOST_DEPTH = 128


class Arguments:
    """Of all calls of one request, which together may have no more values than a whole request: in
    its own structure each is but one string."""

    def __init__(self) -> None:
        self._values_left = MOST_VALUES

    def read(self, given: Any, path: str) -> dict[str, Any]:
        """Those of one call. Raises Unsupported."""
        value = given
        # Some servers give the object itself, or a string in a string, and clients send it back.
        for _ in range(2):
            value = self._parsed(value, path) if isinstance(value, str) else value
        if not isinstance(value, dict | None):
            raise fault(path, "must be a JSON object")
        return value or {}

    def _parsed(self, text: str, path: str) -> Any:
        raw = text.strip().encode()
        structure = structure_of(raw, self._values_left, MOST_DEPTH)
        if structure is None:
            raise fault(path, "has too many values, or is nested too deeply")
        self._values_left -= structure.values
        try:
            return parse(raw) if raw else None
        except orjson.JSONDecodeError:
            raise fault(path, "must be a JSON object") from None
