"""What a client may send: a table of event types, and what becomes of each.

Everything is parsed once and written anew: of two keys of one name another parser might take the
other. What is not in the table is refused, as it may begin what nobody holds for.
"""

from collections.abc import Callable
from typing import Any

import orjson

from server.errors import Refusal, TooComplex, Unsupported
from server.providers.reading import a_list, objects
from server.voice import config, events, items
from server.voice.config import Config
from server.voice.context import Context, tokens_of
from server.voice.host import Host
from server.voice.message import is_rich
from server.voice.opening import NO_EVENTS, Event
from server.voice.response import OF_SESSION, Wish
from server.voice.responses import Responses
from server.voice.speech import Speech
from server.voice.tags import MOST_PAIRS
from server.voice.terms import Need, Terms

MOST_NO_EVENTS = 3
"""Messages that are no JSON objects, or too complex to be looked at, and then the session is
closed: each takes longer than one that is passed on."""


class FromClient:
    """Of one session: the client's side."""

    def __init__(
        self,
        host: Host,
        terms: Terms,
        config: Config,
        context: Context,
        speech: Speech,
        responses: Responses,
        hold_up: Callable[[bool], None],
    ) -> None:
        """`hold_up`: what comes next from the client waits, or does no more."""
        self._host = host
        self._terms = terms
        self._config = config
        self._context = context
        self._speech = speech
        self._responses = responses
        self._hold_up = hold_up
        self._no_events = 0
        self._unbounded = terms.endpoint.unbounded
        self._image_tokens = terms.endpoint.image_tokens
        pass_on = host.ask
        self._rules: dict[str, Callable[[Event], None]] = {
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.clear": self._clear,
            "input_audio_buffer.commit": self._commit,
            "conversation.item.create": self._add_item,
            "conversation.item.delete": pass_on,
            "conversation.item.retrieve": pass_on,
            "conversation.item.truncate": pass_on,
            "response.cancel": pass_on,
            "response.create": self._create,
            "session.update": self._update,
        }

    def take(self, text: bytes) -> None:
        """One message."""
        if is_rich(text):
            self._refuse_no_event(TooComplex())
            return
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError:
            event = None
        if type(event) is not dict:
            self._refuse_no_event(Unsupported("", "The message is not a JSON object"))
            return
        kind = event.get("type")
        rule = self._rules.get(kind) if type(kind) is str else None
        try:
            if rule is None:
                raise Unsupported("type", f"Events of type {str(kind)[:100]!r} are not available")
            rule(event)
        except Refusal as refusal:
            self._refuse(refusal, event)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            self._refuse(Unsupported("", "The event is nested too deeply"), event)

    def listen_to_end_of_turn(self) -> None:
        """The provider has heard one: the response that the client wishes then is asked for."""
        if self._config.creates_responses and not self._responses.is_talking:
            need = Need(self._context.tokens, self._config.most_output, 1)
            wish = Wish(OF_SESSION, need, self._context.mark())
            try:
                self._responses.begin(wish, lambda: None)
            except Refusal as refusal:
                self._refuse(refusal, {})

    def configure(self, session: Event) -> Event:
        """The update that is sent for these members. Raises Unsupported."""
        config.check(session, config.OF_SESSION, "session", self._unbounded)
        self._context.expect(session)
        return {"type": "session.update", "session": self._config.outgoing(session)}

    def _refuse(self, refusal: Refusal, event: Event) -> None:
        self._host.tell(events.refused(refusal, _own_id(event.get("event_id"))))

    def _refuse_no_event(self, refusal: Refusal) -> None:
        self._no_events += 1
        if self._no_events >= MOST_NO_EVENTS:
            self._host.end(NO_EVENTS)
        else:
            self._refuse(refusal, {})

    def _append(self, event: Event) -> None:
        audio = event.get("audio")
        if type(audio) is not str:
            raise Unsupported("audio", "audio must be a string")
        self._speech.append(audio, self._config.input_rate)
        self._host.ask(event)

    def _clear(self, event: Event) -> None:
        self._speech.clear()
        self._host.ask(event)

    def _commit(self, event: Event) -> None:
        self._context.add(self._speech.commit())
        self._host.ask(event)

    def _add_item(self, event: Event) -> None:
        item = event.get("item")
        if not self._unbounded:
            items.check(item, "item")
        self._context.add(self._measured([item]))
        self._host.ask(event)

    def _update(self, event: Event) -> None:
        session = event.get("session")
        if type(session) is not dict:
            raise Unsupported("session", "session must be an object")
        if session.get("type", "realtime") != "realtime":
            raise Unsupported("session.type", "Only sessions of type realtime are available")
        self._host.ask({**event, **self.configure(session)})

    def _create(self, event: Event) -> None:
        members = event.get("response")
        if members is None:
            members = {}
        if type(members) is not dict:
            raise Unsupported("response", "response must be an object")
        wish = self._wish(members, _own_id(event.get("event_id")))
        self._responses.begin(wish, lambda: self._hold_up(False))
        self._hold_up(True)

    def _wish(self, members: Event, event_id: str | None) -> Wish:
        config.check(members, config.OF_RESPONSE, "response", self._unbounded)
        metadata = members.get("metadata")
        if metadata is not None and (type(metadata) is not dict or len(metadata) > MOST_PAIRS):
            message = f"metadata must be an object of at most {MOST_PAIRS} pairs"
            raise Unsupported("response.metadata", message)
        conversation = members.get("conversation")
        if conversation not in (None, "auto", "none"):
            raise Unsupported("response.conversation", "conversation must be auto or none")
        tokens = sum(
            tokens_of(members[name]) for name in ("instructions", "tools") if members.get(name)
        )
        given, mark = members.get("input"), None
        conversation_tokens = self._context.tokens + self._responses.being_said
        if given is None:
            tokens += conversation_tokens
            mark = None if conversation == "none" else self._context.mark()
        else:
            if not self._unbounded:
                items.check_input(given, "response.input")
            has_all = any(map(items.is_reference, a_list(given)))
            tokens += conversation_tokens if has_all else self._context.prompt
            tokens += self._measured(given)
        wished = members.get("max_output_tokens")
        most = self._config.most_output if wished is None else self._config.bound(wished)
        need = Need(min(tokens, self._terms.endpoint.context), most, 1)
        # This cannot fail once tokens are held.
        asked = events.text_of({"response": members})
        return Wish(asked, need, mark, conversation == "none", event_id, is_clients=True)

    def _measured(self, given: Any) -> int:
        rate, image_tokens = self._config.input_rate, self._image_tokens
        return sum(items.measure(one, rate, image_tokens) for one in objects(given))


def _own_id(event_id: Any) -> str | None:
    return event_id[:512] if isinstance(event_id, str) else None
