"""Concealed: answers to a server prompt, which show nothing of what they were made of.

Of a provider's reply, or of an event, the answer's words, calls and usage are kept, each by its
name; reasoning, echoes, the model's name and whatever nobody knows yet are not. That is done in the
provider's protocol, before it is translated.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import uuid4

import orjson

from server.providers.concealed_chat import ConcealedChat
from server.providers.concealed_message import ConcealedMessage
from server.providers.halves import ESCAPE, Halves
from server.providers.translation import TRANSLATIONS, Source, Stream, Translation
from server.providers.wire import Begun, Operation


class Concealing(Protocol):
    """Of one answer."""

    @property
    def kept(self) -> int:
        """About how many bytes of memory it takes until its end."""

    def reply(self, reply: dict[str, Any]) -> dict[str, Any]:
        """A whole reply, as the client may see it."""

    def event(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """An event, as the client may see it; None if there is nothing for it."""


_CONCEALING: dict[Operation, Callable[[str, str], Concealing]] = {
    "chat": ConcealedChat,
    "messages": ConcealedMessage,
}
_IDS: dict[Operation, str] = {"chat": "chatcmpl-", "messages": "msg_", "responses": "resp_"}
"""What IDs of answers begin with."""


_NOWHERE = Source("")
# An ID of a call can have its endpoint's name in it.


class _ConcealedStream:
    def __init__(self, inner: Stream, concealing: Concealing) -> None:
        self._inner = inner
        self._concealing = concealing
        self._halves = Halves()

    @property
    def kept(self) -> int:
        return self._inner.kept + self._concealing.kept

    @property
    def begun(self) -> Begun:
        return self._inner.begun

    def event(self, data: bytes, event: dict[str, Any]) -> bytes:
        events = [event]
        if ESCAPE in data or self._halves.first:
            events = self._halves.joined(data, event)
        shown = [one for each in events if (one := self._concealing.event(each)) is not None]
        return b"".join([self._inner.event(orjson.dumps(one), one) for one in shown])

    def end(self, spent: Mapping[str, int]) -> bytes:
        return self._inner.end(spent)


def concealed(client: Operation, endpoint: Operation, shown: str) -> Translation:
    """For one call with a prompt, which is a chat completion whatever the client speaks; `shown` is
    the model's name for it."""
    plain = TRANSLATIONS[client, endpoint]

    def concealing() -> Concealing:
        return _CONCEALING[endpoint](f"{_IDS[client]}{uuid4().hex}", shown)

    def reply(_: bytes, value: dict[str, Any], __: Source) -> bytes:
        found = concealing().reply(value)
        return plain.reply(orjson.dumps(found), found, _NOWHERE)

    def stream(include_usage: bool, _: Source) -> Stream:
        return _ConcealedStream(plain.stream(include_usage, _NOWHERE), concealing())

    return Translation(TRANSLATIONS["chat", endpoint].request, reply, stream)
