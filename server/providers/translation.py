"""Between a client's protocol and an endpoint's: requests, replies, streams."""

from collections.abc import Iterable
from time import time
from typing import Any, Protocol

import orjson

from server.providers import sse
from server.providers.for_chat import reply as chat_reply
from server.providers.for_chat import request as chat_request
from server.providers.for_chat.stream import ChatStream
from server.providers.for_messages import reply as message_reply
from server.providers.for_messages import request as message_request
from server.providers.for_messages.stream import MessageStream
from server.providers.wire import Name

_DONE = sse.frame(b"[DONE]")


class Stream(Protocol):
    """A provider's events on their way to the client, framed."""

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        """What the client gets for an event of the provider; `event` is `data` parsed."""

    def end(self) -> bytes:
        """What the client gets when the provider is done."""


def request(body: dict[str, Any], client: Name, upstream: Name) -> dict[str, Any]:
    """The body as the endpoint takes it, apart from model, limit and stream.

    Raises Unsupported.
    """
    if client == upstream:
        return body
    return chat_request.to_messages(body) if client == "openai" else message_request.to_chat(body)


def reply(raw: bytes, value: dict[str, Any], client: Name, upstream: Name) -> bytes:
    """A whole reply as the client takes it; `value` is `raw` parsed."""
    if client == upstream:
        return raw
    if client == "openai":
        return orjson.dumps(chat_reply.from_message(value, int(time())))
    return orjson.dumps(message_reply.from_completion(value))


def stream(client: Name, upstream: Name, include_usage: bool) -> Stream:
    """`include_usage`: whether a client of OpenAI's protocol asked for it."""
    if client == "openai":
        if upstream == "openai":
            return _Chunks(include_usage)
        return _ChunksOfMessages(include_usage)
    return _Events() if upstream == "anthropic" else _EventsOfChunks()


class _Chunks:
    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        if not self._include_usage and event.get("usage") is not None:
            # We asked for it, the client did not.
            if not event.get("choices"):
                return b""
            data = orjson.dumps({**event, "usage": None})
        return sse.frame(data)

    def end(self) -> bytes:
        return _DONE


class _Events:
    def __init__(self) -> None:
        self._last = b""

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        framed = sse.frame(data, _name(event))
        if event.get("type") != "message_stop":
            return framed
        self._last = framed
        return b""

    def end(self) -> bytes:
        return self._last or sse.frame(b'{"type":"message_stop"}', "message_stop")


class _ChunksOfMessages:
    def __init__(self, include_usage: bool) -> None:
        self._stream = ChatStream(int(time()), include_usage)

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        return b"".join(sse.frame(orjson.dumps(chunk)) for chunk in self._stream.from_event(event))

    def end(self) -> bytes:
        return b"".join(sse.frame(orjson.dumps(chunk)) for chunk in self._stream.finish()) + _DONE


class _EventsOfChunks:
    def __init__(self) -> None:
        self._stream = MessageStream()

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        return _framed(self._stream.from_chunk(event))

    def end(self) -> bytes:
        return _framed(self._stream.finish())


def _framed(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(sse.frame(orjson.dumps(event), _name(event)) for event in events)


def _name(event: dict[str, Any]) -> str:
    """Their SDKs skip an event whose name is not its type."""
    name = event.get("type")
    return name if isinstance(name, str) and "\n" not in name else "message"
