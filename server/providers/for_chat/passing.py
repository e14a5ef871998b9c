"""What clients of chat completions get of a stream, framed."""

from collections.abc import Iterable, Mapping
from time import time
from typing import Any

import orjson

from server.providers import halves, sse
from server.providers import spent as cost
from server.providers.for_chat.stream import ChatStream
from server.providers.halves import ESCAPE, Halves
from server.providers.wire import NOT_BEGUN, Begun

_DONE = sse.frame(b"[DONE]")


class SameChunks:
    """Of a chat completion."""

    begun: Begun = NOT_BEGUN

    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._usage = b""
        self.kept = 0

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        before = b""
        if self._usage:
            before, self._usage, self.kept = sse.frame(self._usage), b"", 0
        if event.get("usage") is None:
            return before + sse.frame(data)
        if not self._include_usage:
            # We asked for it, the client did not.
            if not event.get("choices"):
                return b""
            return sse.frame(halves.dumps_like(data, event, usage=None))
        if event.get("choices"):
            return before + sse.frame(data)
        self._usage, self.kept = data, len(data)
        return before

    def end(self, spent: Mapping[str, int]) -> bytes:
        if not self._usage:
            return cost.comment(spent) + _DONE
        return sse.frame(cost.added_to(self._usage, spent)) + _DONE


class OfMessage:
    """Of a message."""

    begun: Begun = NOT_BEGUN

    def __init__(self, include_usage: bool) -> None:
        self._stream = ChatStream(int(time()), include_usage)
        self._halves = Halves()

    @property
    def kept(self) -> int:
        return self._stream.kept

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        if ESCAPE not in data and not self._halves.first:  # as nearly always
            return _chunks(self._stream.from_event(event))
        events = self._halves.joined(data, event)
        return _chunks(chunk for each in events for chunk in self._stream.from_event(each))

    def end(self, spent: Mapping[str, int]) -> bytes:
        chunks = self._stream.finish()
        if chunks and chunks[-1].get("usage"):
            chunks[-1] |= cost.member(spent)
            spent = {}
        return _chunks(chunks) + cost.comment(spent) + _DONE


def _chunks(chunks: Iterable[dict[str, Any]]) -> bytes:
    return b"".join([sse.frame(orjson.dumps(chunk)) for chunk in chunks])
