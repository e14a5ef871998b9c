"""Between what a client asks for and what an endpoint is asked for: requests, replies, streams."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, NamedTuple, Protocol

import orjson

from server.providers import halves, sse
from server.providers import spent as cost
from server.providers.for_chat.reply import from_message
from server.providers.for_chat.request import to_messages
from server.providers.for_chat.stream import ChatStream
from server.providers.for_messages.history import for_anthropic
from server.providers.for_messages.reply import from_completion
from server.providers.for_messages.request import renamed_tools, to_chat
from server.providers.for_messages.state import origin_in
from server.providers.for_messages.stream import MessageStream
from server.providers.halves import ESCAPE, Halves
from server.providers.response_events import ResponseEvents
from server.providers.wire import NOT_BEGUN, Begun, Operation

_DONE = sse.frame(b"[DONE]")


class Stream(Protocol):
    """A provider's events on their way to the client, framed."""

    @property
    def kept(self) -> int:
        """About how many bytes of memory it takes until its end."""

    @property
    def begun(self) -> Begun:
        """What a last event that tells of a failure must tell again."""

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        """What the client gets for an event of the provider; `event` is `data` parsed."""

    def end(self, spent: Mapping[str, int]) -> bytes:
        """What the client gets when the provider is done, and the call settled. What tells the
        usage waits for that, so that it can tell what was `spent`, too."""


class Source(NamedTuple):
    """Of a reply: the endpoint's name; and the client's names of tools, by those that the endpoint
    was told instead, as it would not take them."""

    endpoint: str
    tools: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """From a client that asks for one operation to an endpoint that offers the same or another, and
    back.

    `request`: the client's body as the endpoint takes it, apart from model, limit and stream;
    raises Unsupported. `reply`: a whole reply as the client takes it, made of the raw and the
    parsed one. `stream`: makes the Stream of one reply; its first argument says whether a client of
    chat completions asked for usage. A request is told the endpoint's name, replies and streams
    their source; `origin` says what of the name a request depends on, in a body as the client sent
    it, and `tools` are those of the source.
    """

    request: Callable[[dict[str, Any], str], dict[str, Any]]
    reply: Callable[[bytes, dict[str, Any], Source], bytes]
    stream: Callable[[bool, Source], Stream]
    origin: Callable[[dict[str, Any], str], str] = lambda _, __: ""
    tools: Callable[[dict[str, Any]], Mapping[str, str]] = lambda _: {}

    @property
    def passes_replies_on(self) -> bool:
        """The client gets whole replies as they are."""
        return self.reply is _same_reply


class _Chunks:
    begun: Begun = NOT_BEGUN

    def __init__(self, include_usage: bool, _: Source) -> None:
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


class _Events:
    kept = 0
    begun: Begun = NOT_BEGUN

    def __init__(self, _: bool, __: Source) -> None:
        self._last = sse.frame(b'{"type":"message_stop"}', "message_stop")

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        framed = sse.frame(data, _name(event))
        if event.get("type") != "message_stop":
            return framed
        self._last = framed
        return b""

    def end(self, spent: Mapping[str, int]) -> bytes:
        # No member: what has the usage has the stop reason, too, and must not wait for the end.
        return cost.comment(spent) + self._last


class _ChunksOfMessage:
    begun: Begun = NOT_BEGUN

    def __init__(self, include_usage: bool, _: Source) -> None:
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
            chunks[-1] |= _member(spent)
            spent = {}
        return _chunks(chunks) + cost.comment(spent) + _DONE


class _EventsOfChunks:
    begun: Begun = NOT_BEGUN

    def __init__(self, _: bool, source: Source) -> None:
        self._stream = MessageStream(source.endpoint, source.tools)
        self._halves = Halves()

    @property
    def kept(self) -> int:
        return self._stream.kept

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        if ESCAPE not in data and not self._halves.first:
            return _framed(self._stream.from_chunk(event))
        chunks = self._halves.joined(data, event)
        return _framed(made for each in chunks for made in self._stream.from_chunk(each))

    def end(self, spent: Mapping[str, int]) -> bytes:
        events = self._stream.finish()
        for event in events:
            if event["type"] == "message_delta":
                event |= _member(spent)
        return _framed(events)


def _response_events(_: bool, __: Source) -> Stream:
    return ResponseEvents()


def _member(spent: Mapping[str, int]) -> dict[str, Any]:
    return {cost.MEMBER: spent} if spent else {}


def _chunks(chunks: Iterable[dict[str, Any]]) -> bytes:
    return b"".join([sse.frame(orjson.dumps(chunk)) for chunk in chunks])


def _framed(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join([sse.frame(orjson.dumps(event), event["type"]) for event in events])


def _name(event: dict[str, Any]) -> str:
    """Their SDKs skip an event whose name is not its type."""
    name = event.get("type")
    return name if isinstance(name, str) and "\n" not in name else "message"


def _same_request(body: dict[str, Any], _: str) -> dict[str, Any]:
    return body


def _messages_request(body: dict[str, Any], _: str) -> dict[str, Any]:
    return for_anthropic(body)


def _to_messages(body: dict[str, Any], _: str) -> dict[str, Any]:
    return to_messages(body)


def _same_reply(raw: bytes, value: dict[str, Any], _: Source) -> bytes:
    return raw


def _completion_of_message(raw: bytes, message: dict[str, Any], _: Source) -> bytes:
    return orjson.dumps(from_message(message, int(time())))


def _message_of_completion(raw: bytes, completion: dict[str, Any], source: Source) -> bytes:
    return orjson.dumps(from_completion(completion, source.endpoint, source.tools))


TRANSLATIONS: dict[tuple[Operation, Operation], Translation] = {
    ("chat", "chat"): Translation(_same_request, _same_reply, _Chunks),
    ("chat", "messages"): Translation(_to_messages, _completion_of_message, _ChunksOfMessage),
    ("messages", "messages"): Translation(_messages_request, _same_reply, _Events),
    ("messages", "chat"): Translation(
        to_chat, _message_of_completion, _EventsOfChunks, origin_in, renamed_tools
    ),
    ("responses", "responses"): Translation(_same_request, _same_reply, _response_events),
}
"""By what the client asks for, and what the endpoint is asked for."""
