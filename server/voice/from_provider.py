"""What the provider says, as far as it matters for money, or is not for the client.

Most passes as it came: it was parsed to see what it is, and is not written anew.
"""

import asyncio
import logging
from collections.abc import Callable

import orjson

from server.providers.reading import an_object, parse, small
from server.voice import events
from server.voice.config import Config
from server.voice.context import Context
from server.voice.from_client import FromClient
from server.voice.hearing import Hearing
from server.voice.host import Host
from server.voice.message import Misbehaved, is_complex, is_rich
from server.voice.opening import PROVIDER, Event
from server.voice.output import DELTAS
from server.voice.responses import Responses
from server.voice.spoken import spoken
from server.voice.tags import without_tag
from server.voice.terms import Terms

log = logging.getLogger(__name__)

_EMPTY = "input_audio_buffer_commit_empty"
_KEPT = ("type", "event_id")
"""Of `session.created`, beside the session, which comes again."""
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class FromProvider:
    """Of one session: the provider's side."""

    def __init__(
        self,
        host: Host,
        terms: Terms,
        config: Config,
        context: Context,
        hearing: Hearing,
        responses: Responses,
        client: FromClient,
    ) -> None:
        self.has_expired = False
        """It has said that the session has lasted as long as it may."""
        self._greeted: Callable[[], None] | None = None
        self._greeting = ""
        self._session_created: Event = {}
        self._host = host
        self._labels = terms.opening.name, terms.opening.who.tenant_id
        self._timeouts = terms.timeouts
        self._api_key = terms.endpoint.api_key or ""
        self._config = config
        self._context = context
        self._hearing = hearing
        self._responses = responses
        self._client = client
        self._rules: dict[str, Callable[[Event], Event | None]] = {
            "error": self._failed,
            "input_audio_buffer.cleared": self._cleared,
            "input_audio_buffer.committed": self._committed,
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "rate_limits.updated": lambda event: None,  # the tenant's
            "response.created": self._created,
            "response.done": self._done,
            "session.updated": self.configured,
            f"{_TRANSCRIPTION}.delta": self._transcribing,
            f"{_TRANSCRIPTION}.completed": self._transcribed,
            f"{_TRANSCRIPTION}.failed": self._not_transcribed,
        }

    def hear(self, text: bytes) -> bytes | None:
        """What the client gets of a message; None for nothing. Raises Misbehaved."""
        if is_rich(text):
            raise Misbehaved("an event of very many values")
        try:
            delta = spoken(text)
            event = parse(text) if delta is None else {}
        except ValueError:
            return None
        if delta is not None:
            self._responses.spoke(*delta)
            return text
        kind = event.get("type") if type(event) is dict else None
        if type(kind) is not str:
            return None
        if kind in DELTAS:
            self._responses.produced(kind, event)
            return text
        rule = self._rules.get(kind)
        if rule is not None:
            if is_complex(text):
                raise Misbehaved("an event that is nested very deeply")
            told = rule(event)
            if told is None:
                return None
            return text if told is event else orjson.dumps(told)
        return text

    def greet(self, created: Event, event_id: str, then: Callable[[], None]) -> None:
        """The provider's next `session.updated` answers our update, the event of this ID: the
        client sees it as the session that was `created`, and then is listened to."""
        kept = {name: small(value) for name, value in created.items() if name in _KEPT}
        self._session_created, self._greeting, self._greeted = kept, event_id, then
        loop, seconds = asyncio.get_running_loop(), self._timeouts.created
        loop.call_later(seconds, self._not_greeted)

    def _not_greeted(self) -> None:
        if self._greeted is not None:
            self._host.end(PROVIDER)

    def configured(self, event: Event) -> Event | None:
        """`session.created` or `session.updated`."""
        session = an_object(event.get("session"))
        self._context.configure(session)
        self._config.confirm(session)
        then, self._greeted = self._greeted, None
        if then is not None:
            event = self._session_created
            then()
        return {**event, "session": self._config.shown(session)}

    def _created(self, event: Event) -> Event | None:
        self._responses.created(event)
        return {**event} if without_tag(event) else event

    def _done(self, event: Event) -> Event | None:
        if not self._responses.done(event):
            return None
        is_changed = without_tag(event)
        details = an_object(an_object(event.get("response")).get("status_details"))
        if details.get("error"):
            details["error"] = events.without_secrets(details["error"], self._api_key)
            is_changed = True
        return {**event} if is_changed else event

    def _speech_started(self, event: Event) -> Event:
        self._hearing.speech.started(event.get("audio_start_ms"))
        return event

    def _speech_stopped(self, event: Event) -> Event:
        self._hearing.speech.stopped(event.get("audio_end_ms"))
        return event

    def _cleared(self, event: Event) -> Event | None:
        return event if self._hearing.cleared() else None

    def _committed(self, event: Event) -> Event:
        if self._hearing.committed(event.get("item_id")):
            self._client.listen_to_end_of_turn()
        return event

    def _transcribing(self, event: Event) -> Event:
        self._hearing.transcribing(event.get("item_id"))
        return event

    def _transcribed(self, event: Event) -> Event:
        self._hearing.transcribed(event.get("item_id"), event.get("usage"))
        return event

    def _not_transcribed(self, event: Event) -> Event:
        self._hearing.not_transcribed(event.get("item_id"))
        if event.get("error"):
            event = {**event, "error": events.without_secrets(event["error"], self._api_key)}
        return event

    def _failed(self, event: Event) -> Event | None:
        error = an_object(event.get("error"))
        event_id = error.get("event_id")
        if error.get("code") == _EMPTY:
            self._hearing.speech.commit_failed()
        self.has_expired = self.has_expired or error.get("code") == "session_expired"
        told = events.without_secrets(error, self._api_key)
        if self._greeting and event_id == self._greeting:
            log.warning("Endpoint %s of tenant %s: %s", *self._labels, told["message"])
            self._host.tell({**event, "error": {**told, "event_id": None}})
            self._host.end(PROVIDER, is_told=True)
            return None
        wish = self._responses.failed(event_id)
        if wish is not None:
            if not wish.is_clients:
                return None
            event_id = wish.event_id
        elif self._responses.tags.are_of(event_id):
            return None
        return {**event, "error": {**told, "event_id": event_id}}
