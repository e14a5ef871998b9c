"""Between what a client asks for and what an endpoint is asked for: requests, replies, streams."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, NamedTuple, Protocol

import orjson

from server.providers.for_chat import passing as for_chat
from server.providers.for_chat.reply import from_message
from server.providers.for_chat.request import to_messages
from server.providers.for_messages import passing as for_messages
from server.providers.for_messages.history import for_anthropic
from server.providers.for_messages.reply import from_completion
from server.providers.for_messages.request import renamed_tools, to_chat
from server.providers.for_messages.state import origin_in
from server.providers.for_responses import passing as for_responses
from server.providers.for_responses.history import for_openai
from server.providers.for_responses.request import to_chat as responses_to_chat
from server.providers.for_responses.request import to_messages as responses_to_messages
from server.providers.for_responses.state import origin_in as origin_in_responses
from server.providers.response_events import ResponseEvents
from server.providers.wire import Begun, Operation


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
    """Of a reply: the endpoint's name; and what of the request it is made with. For clients of
    messages that are their names of tools, by those that the endpoint was told instead, as it would
    not take them; for those of responses see for_responses/passing.py."""

    endpoint: str
    asked: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """From a client that asks for one operation to an endpoint that offers the same or another, and
    back.

    `request`: the client's body as the endpoint takes it, apart from model, limit and stream;
    raises Unsupported. `reply`: a whole reply as the client takes it, made of the raw and the
    parsed one. `stream`: makes the Stream of one reply; its first argument says whether a client of
    chat completions asked for usage. A request is told the endpoint's name, replies and streams
    their source; `origin` says what of the name a request depends on, in a body as the client sent
    it, and `asked` is that of the source.
    """

    request: Callable[[dict[str, Any], str], dict[str, Any]]
    reply: Callable[[bytes, dict[str, Any], Source], bytes]
    stream: Callable[[bool, Source], Stream]
    origin: Callable[[dict[str, Any], str], str] = lambda _, __: ""
    asked: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda _: {}

    @property
    def passes_replies_on(self) -> bool:
        """The client gets whole replies as they are."""
        return self.reply is _same_reply


def _same_chunks(include_usage: bool, _: Source) -> Stream:
    return for_chat.SameChunks(include_usage)


def _chunks_of_message(include_usage: bool, _: Source) -> Stream:
    return for_chat.OfMessage(include_usage)


def _same_events(_: bool, __: Source) -> Stream:
    return for_messages.SameEvents()


def _events_of_chunks(_: bool, source: Source) -> Stream:
    return for_messages.OfChunks(*source)


def _same_response_events(_: bool, __: Source) -> Stream:
    return ResponseEvents()


def _response_events_of_message(_: bool, source: Source) -> Stream:
    return for_responses.OfMessage(*source)


def _response_events_of_chunks(_: bool, source: Source) -> Stream:
    return for_responses.OfChunks(*source)


def _same_request(body: dict[str, Any], _: str) -> dict[str, Any]:
    return body


def _messages_request(body: dict[str, Any], _: str) -> dict[str, Any]:
    return for_anthropic(body)


def _responses_request(body: dict[str, Any], _: str) -> dict[str, Any]:
    return for_openai(body)


def _to_messages(body: dict[str, Any], _: str) -> dict[str, Any]:
    return to_messages(body)


def _response_of_message(raw: bytes, message: dict[str, Any], source: Source) -> bytes:
    return for_responses.response_of_message(message, *source)


def _response_of_completion(raw: bytes, completion: dict[str, Any], source: Source) -> bytes:
    return for_responses.response_of_completion(completion, *source)


def _same_reply(raw: bytes, value: dict[str, Any], _: Source) -> bytes:
    return raw


def _completion_of_message(raw: bytes, message: dict[str, Any], _: Source) -> bytes:
    return orjson.dumps(from_message(message, int(time())))


def _message_of_completion(raw: bytes, completion: dict[str, Any], source: Source) -> bytes:
    return orjson.dumps(from_completion(completion, source.endpoint, source.asked))


TRANSLATIONS: dict[tuple[Operation, Operation], Translation] = {
    ("chat", "chat"): Translation(_same_request, _same_reply, _same_chunks),
    ("chat", "messages"): Translation(_to_messages, _completion_of_message, _chunks_of_message),
    ("messages", "messages"): Translation(_messages_request, _same_reply, _same_events),
    ("embeddings", "embeddings"): Translation(_same_request, _same_reply, _same_chunks),
    ("messages", "chat"): Translation(
        to_chat, _message_of_completion, _events_of_chunks, origin_in, renamed_tools
    ),
    ("responses", "chat"): Translation(
        responses_to_chat,
        _response_of_completion,
        _response_events_of_chunks,
        origin_in_responses,
        for_responses.asked_of,
    ),
    ("responses", "messages"): Translation(
        responses_to_messages,
        _response_of_message,
        _response_events_of_message,
        origin_in_responses,
        for_responses.asked_of,
    ),
    ("responses", "responses"): Translation(_responses_request, _same_reply, _same_response_events),
}
"""By what the client asks for, and what the endpoint is asked for."""
