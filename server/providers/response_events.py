"""The events of a response that is passed on as it comes."""

from collections.abc import Mapping
from typing import Any

from server.amounts import is_amount
from server.providers import spent as cost
from server.providers import sse
from server.providers.reading import an_object, parse, string
from server.providers.tally_responses import LAST
from server.providers.wire import Begun


class ResponseEvents:
    """The last one waits for what was spent: it is the only one that clients take for the end."""

    def __init__(self) -> None:
        self._created = b""
        """The event that has announced the response."""
        self._number = -1
        self._last, self._kind = b"", ""
        self.kept = 0

    @property
    def begun(self) -> Begun:
        created = parse(self._created) if self._created else {}
        return Begun(an_object(created.get("response")), self._number + 1)

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        kind = string(event.get("type"))
        if kind in LAST:
            self._last, self._kind = data, kind
            self.kept += len(data)
            return b""
        number = event.get("sequence_number")
        # Of an event that is too large to be parsed it is not known.
        self._number = number if is_amount(number) else self._number + 1
        if kind == "response.created":
            self._created, self.kept = data, len(data)
        return sse.frame(data, sse.name_of(kind))

    def end(self, spent: Mapping[str, int]) -> bytes:
        return sse.frame(cost.added_to(self._last, spent), self._kind)
