"""The events of a response that is passed on as it comes."""

from collections.abc import Mapping
from typing import Any

from server.providers import spent as cost
from server.providers import sse
from server.providers.reading import an_object, string
from server.providers.tally_responses import LAST
from server.providers.wire import NOT_BEGUN, Begun


class ResponseEvents:
    """The last one waits for what was spent: it is the only one that clients take for the end."""

    def __init__(self) -> None:
        self._announced: dict[str, Any] | None = None
        self._number = -1
        self._last, self._kind = b"", ""
        self.kept = 0

    @property
    def begun(self) -> Begun:
        if self._announced is None:
            return NOT_BEGUN
        return Begun(self._announced, self._number + 1)

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        kind = string(event.get("type"))
        number = event.get("sequence_number")
        if type(number) is int:
            self._number = number
        if kind in LAST:
            self._last, self._kind = data, kind
            self.kept += len(data)
            return b""
        if kind == "response.created":
            self._announced, self.kept = an_object(event.get("response")), len(data)
        # Their SDKs read the type; others take the name for it.
        return sse.frame(data, "message" if "\n" in kind else kind)

    def end(self, spent: Mapping[str, int]) -> bytes:
        return sse.frame(cost.added_to(self._last, spent), self._kind)
