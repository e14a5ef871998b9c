"""What clients of responses get, framed: whole, and event by event."""

from collections.abc import Iterable, Mapping
from time import time
from typing import Any

import orjson

from server.providers import spent as cost
from server.providers import sse
from server.providers.for_messages.reply import first_choice, from_completion
from server.providers.for_messages.stream import MessageStream
from server.providers.for_responses.annotations import annotations_of
from server.providers.for_responses.echo import echo_of
from server.providers.for_responses.output_items import Event
from server.providers.for_responses.stream import ResponseStream, from_message
from server.providers.for_responses.tools import unlike_functions
from server.providers.halves import ESCAPE, Halves
from server.providers.reading import an_object
from server.providers.wire import Begun


def asked_of(body: dict[str, Any]) -> dict[str, Any]:
    """What of a request its response is made with. Raises Unsupported."""
    return {"echo": echo_of(body), "tools": unlike_functions(body)}


def response_of_message(message: dict[str, Any], origin: str, asked: Mapping[str, Any]) -> bytes:
    return orjson.dumps(from_message(message, int(time()), origin, asked, []))


def response_of_completion(
    completion: dict[str, Any], origin: str, asked: Mapping[str, Any]
) -> bytes:
    message = from_completion(completion, origin, has_refusals=True)
    answer = an_object(first_choice(completion).get("message"))
    noted = annotations_of(answer)
    return orjson.dumps(from_message(message, int(time()), origin, asked, noted))


class OfMessage:
    """A stream of a message."""

    def __init__(self, origin: str, asked: Mapping[str, Any]) -> None:
        self._response = ResponseStream(int(time()), origin, asked)
        self._halves = Halves()

    @property
    def kept(self) -> int:
        return self._response.output.kept

    @property
    def begun(self) -> Begun:
        return self._response.begun

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        if ESCAPE not in data and not self._halves.first:  # as nearly always
            return sse.frames(self._made_of(event))
        events = self._halves.joined(data, event)
        return sse.frames(made for each in events for made in self._made_of(each))

    def end(self, spent: Mapping[str, int]) -> bytes:
        events = self._response.finish()
        events[-1] |= cost.member(spent)
        return sse.frames(events)

    def _made_of(self, event: dict[str, Any]) -> list[Event]:
        return self._response.from_event(event)


class OfChunks(OfMessage):
    """A stream of a chat completion."""

    def __init__(self, origin: str, asked: Mapping[str, Any]) -> None:
        super().__init__(origin, asked)
        self._message = MessageStream(origin, has_refusals=True)

    @property
    def kept(self) -> int:
        return self._response.output.kept + self._message.kept

    def end(self, spent: Mapping[str, int]) -> bytes:
        return sse.frames(self._of(self._message.finish())) + super().end(spent)

    def _made_of(self, event: dict[str, Any]) -> list[Event]:
        delta = an_object(first_choice(event).get("delta"))
        if "annotations" in delta:
            self._response.output.cite(annotations_of(delta))
        return self._of(self._message.from_chunk(event))

    def _of(self, events: Iterable[dict[str, Any]]) -> list[Event]:
        return [made for each in events for made in self._response.from_event(each)]
