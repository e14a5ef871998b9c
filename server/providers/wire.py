"""Operations on the wire: what is sent upstream, and how errors reach the client.

A new operation needs a class here, its readers in ask.py, estimate.py, texts.py, tally.py and
usage.py, its rows in translation.py (made in a folder for_...), a choice in gateway/endpoints.py,
and a route in blueprints/gateway.py with its bodies in openapi/provider_bodies.py. The class for
responses is in responses.py, that of embeddings in embeddings.py with all that it needs.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, messages.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import orjson

from server.errors import Refusal
from server.providers import ask, refusals, sse
from server.providers.ask import Ask
from server.providers.models import answers_at_once
from server.providers.tally import ChatTally, MessageTally, Tally

ProtocolName = Literal["openai", "anthropic"]
Operation = Literal["chat", "messages", "responses", "embeddings"]
"""What a protocol can be asked for; each has a Wire."""

ANTHROPIC_VERSION = "2023-06-01"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
_BETAS = re.compile(r"[A-Za-z0-9_.,: -]{1,500}")
# Members by which compatible servers let a client ask for reasoning.
_ASKS_FOR_REASONING = {"reasoning_effort", "reasoning", "thinking", "enable_thinking"}
_NOT_ASKED = (None, False, "none", {"type": "disabled"})
_NAME = re.compile(r"\w+")
LIMITS = ("max_completion_tokens", "max_tokens")
"""What chat completions call the output limit."""


class Form(NamedTuple):
    """How a request is sent where servers differ: what its output limit is called, if it asks for a
    stream, and for that stream's usage."""

    limit_field: str
    stream: bool
    stream_options: bool

    def names_limit(self, refused: str) -> bool:
        return self.limit_field in _NAME.findall(refused)

    def reworded(self, refused: str) -> "Form":
        """How else to say it, after a refusal of the member at the path `refused`, which is '' if
        it names none; itself if there is no other way.

        A stream's usage need not be asked for. The output limit has another name, but never goes:
        without it a call is not bounded by its hold.
        """
        if self.stream and self.stream_options and "stream_options" in _NAME.findall(refused):
            return self._replace(stream_options=False)
        if self.names_limit(refused):
            return self._replace(limit_field=LIMITS[1 - LIMITS.index(self.limit_field)])
        return self


class Begun(NamedTuple):
    """What of a stream its last event must tell again, where the protocol has that: the response as
    it was announced, {} if it was not, and the number of the next event."""

    response: Mapping[str, Any] = {}
    next_number: int = 0


NOT_BEGUN = Begun()


class Wire(Protocol):
    """One operation, for clients that ask for it and endpoints that are asked for it."""

    operation: ClassVar[Operation]
    turns: ClassVar[str]
    """The member that has what was said."""
    least_limit: ClassVar[int]
    """Less is no output limit, for providers; in tokens."""
    tally: ClassVar[type[Tally]]

    def ask(self, body: dict[str, Any]) -> Ask:
        """Raises Unsupported."""

    def headers(self, api_key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Those of the request upstream: the endpoint's key, and what of `client` is allowed."""

    def request(self, body: dict[str, Any], model: str, limit: int, form: Form) -> bytes:
        """The request upstream, with this output limit and no other."""

    def may_reason(self, body: dict[str, Any], model: str, unasked: bool | None) -> bool:
        """May this request upstream produce reasoning that the stream does not show?

        `unasked`: whether the endpoint's models may do so by themselves, if its config says that.
        """

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """The body of an error reply to a client."""

    def error_frame(self, refusal: Refusal, begun: Begun) -> bytes:
        """The event that ends a client's stream, of which `begun` has come."""


class OfOpenAI:
    """What all operations of OpenAI's protocol share."""

    def headers(self, api_key: str, client: Mapping[str, str]) -> dict[str, str]:
        sent = {"content-type": "application/json"}
        if api_key:  # else a header of the endpoint's own may say who asks
            sent["authorization"] = f"Bearer {api_key}"
        return sent

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return refusals.openai_error(refusal)


class ChatCompletions(OfOpenAI):
    """Chat completions, of OpenAI's protocol."""

    operation: ClassVar[Operation] = "chat"
    turns: ClassVar[str] = "messages"
    least_limit: ClassVar[int] = 1
    tally: ClassVar[type[Tally]] = ChatTally

    def ask(self, body: dict[str, Any]) -> Ask:
        return ask.of_chat(body)

    def request(self, body: dict[str, Any], model: str, limit: int, form: Form) -> bytes:
        sent = body.copy()
        for name in LIMITS:
            sent.pop(name, None)
        sent["model"], sent[form.limit_field] = model, limit
        if form.stream:
            sent["stream"] = True
        if form.stream and form.stream_options:
            options = body.get("stream_options") or {}
            sent["stream_options"] = {**options, "include_usage": True}
        elif form.stream:
            sent.pop("stream_options", None)
        return orjson.dumps(sent)

    def may_reason(self, body: dict[str, Any], model: str, unasked: bool | None) -> bool:
        asking = _ASKS_FOR_REASONING & body.keys()
        if unasked or any(body[name] not in _NOT_ASKED for name in asking):
            return True
        if unasked is False or body.get("reasoning_effort") == "none":
            return False
        return not answers_at_once(model)

    def error_frame(self, refusal: Refusal, _: Begun) -> bytes:
        # Their SDKs notice an error by this member, whatever the event's name.
        return sse.frame(orjson.dumps(self.error(refusal)))


class Messages:
    """Messages, of Anthropic's protocol."""

    operation: ClassVar[Operation] = "messages"
    turns: ClassVar[str] = "messages"
    least_limit: ClassVar[int] = 1
    tally: ClassVar[type[Tally]] = MessageTally

    def ask(self, body: dict[str, Any]) -> Ask:
        return ask.of_messages(body)

    def headers(self, api_key: str, client: Mapping[str, str]) -> dict[str, str]:
        version = client.get("anthropic-version", "")
        sent = {
            "content-type": "application/json",
            "anthropic-version": version if _VERSION.fullmatch(version) else ANTHROPIC_VERSION,
        }
        if api_key:
            sent["x-api-key"] = api_key
        betas = client.get("anthropic-beta", "")
        if _BETAS.fullmatch(betas):
            sent["anthropic-beta"] = betas
        return sent

    def request(self, body: dict[str, Any], model: str, limit: int, form: Form) -> bytes:
        sent = {**body, "model": model, "max_tokens": limit}
        if form.stream:
            sent["stream"] = True
        return orjson.dumps(sent)

    def may_reason(self, body: dict[str, Any], model: str, unasked: bool | None) -> bool:
        # Without being asked to, models of this protocol do not.
        thinking, output = body.get("thinking"), body.get("output_config")
        if unasked:
            return True
        if isinstance(thinking, dict):
            return thinking.get("type") != "disabled"
        return isinstance(output, dict) and output.get("effort") is not None

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return refusals.anthropic_error(refusal)

    def error_frame(self, refusal: Refusal, _: Begun) -> bytes:
        return sse.frame(orjson.dumps(self.error(refusal)), "error")


WIRES: dict[ProtocolName, Wire] = {"openai": ChatCompletions(), "anthropic": Messages()}
"""How each protocol is asked for text, and how it tells errors.

A second operation of a protocol is a Wire beside this table, which its own route and the choice of
endpoints name; the errors of its clients are those of the protocol, found here.
"""
