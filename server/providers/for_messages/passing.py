"""What clients of messages get of a stream, framed."""

from collections.abc import Mapping
from typing import Any

from server.providers import spent as cost
from server.providers import sse
from server.providers.for_messages.stream import MessageStream
from server.providers.halves import ESCAPE, Halves
from server.providers.wire import NOT_BEGUN, Begun


class SameEvents:
    """Of a message."""

    kept = 0
    begun: Begun = NOT_BEGUN

    def __init__(self) -> None:
        self._last = sse.frame(b'{"type":"message_stop"}', "message_stop")

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        kind = event.get("type")
        framed = sse.frame(data, sse.name_of(kind) if isinstance(kind, str) else "message")
        if kind != "message_stop":
            return framed
        self._last = framed
        return b""

    def end(self, spent: Mapping[str, int]) -> bytes:
        # No member: what has the usage has the stop reason, too, and must not wait for the end.
        return cost.comment(spent) + self._last


class OfChunks:
    """Of a chat completion."""

    begun: Begun = NOT_BEGUN

    def __init__(self, origin: str, tools: Mapping[str, str]) -> None:
        self._stream = MessageStream(origin, tools)
        self._halves = Halves()

    @property
    def kept(self) -> int:
        return self._stream.kept

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        if ESCAPE not in data and not self._halves.first:
            return sse.frames(self._stream.from_chunk(event))
        chunks = self._halves.joined(data, event)
        return sse.frames(made for each in chunks for made in self._stream.from_chunk(each))

    def end(self, spent: Mapping[str, int]) -> bytes:
        events = self._stream.finish()
        for event in events:
            if event["type"] == "message_delta":
                event |= cost.member(spent)
        return sse.frames(events)
