"""Bodies: what the endpoints of a call are sent, each as it wants it.

They are made when the call has its tokens: until then nobody knows whether it may be made at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.aside import aside
from server.errors import Unsupported
from server.gateway.attempts import Attempt
from server.gateway.endpoints import Target
from server.gateway.options import Asked, are_kept, with_ours
from server.gateway.room import Portion
from server.providers.concealed import concealed
from server.providers.translation import TRANSLATIONS, Source, Translation

MOST_ORIGINS = 2
"""Endpoints of one call that get back what they gave: for each the body is translated by itself,
and all of these are in memory together."""

_NOT_TAKEN = "The model does not take this prompt with these values and messages"


@dataclass(slots=True)
class Sent:
    """What one endpoint is sent, apart from model, limit and stream: `body` is what `translation`
    made of the client's, and empty when it is not needed any more. `source` is that of the reply;
    `may_reason`: the endpoint may produce reasoning that a stream does not show."""

    translation: Translation
    source: Source
    body: dict[str, Any]
    may_reason: bool
    is_kept: bool
    """The endpoint keeps the reply, and what was said."""


Planned = tuple[Attempt, int, Sent]
"""An endpoint to try, with the output limit to send in tokens a choice, and the body."""


class Bodies:
    """Of one call."""

    def __init__(self, asked: Asked, portion: Portion) -> None:
        """`portion` is of the room, and is what all of them take."""
        self._asked = asked
        self._portion = portion
        self._planned: list[Planned] = []

    async def translate(self, tried: list[tuple[Attempt, int]]) -> list[Planned]:
        """For the attempts, without those that cannot serve the call; but the first must. Raises
        Unsupported."""
        asked = self._asked
        if asked.is_long:
            found = await aside(self._portion.owners, _translate, asked, tried)
        else:
            found = _translate(asked, tried)
        asked.body.clear()
        self._planned = found
        return found

    def forget(self) -> None:
        """No other endpoint will be asked: they may be large, and the reply long in coming."""
        self._asked.body.clear()
        for _, _, sent in self._planned:
            sent.body.clear()
        self._portion.leave()


def _translate(asked: Asked, tried: list[tuple[Attempt, int]]) -> list[Planned]:
    shared = _Translated(asked.body) if len(tried) > 1 else None
    found: list[Planned] = []
    for attempt, limit in tried:
        try:
            found.append((attempt, limit, _sent(asked, attempt.target, shared)))
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise Unsupported(asked.client.turns, "The request is nested too deeply") from None
        except Unsupported:
            if not found and asked.ask.prompt:  # it could quote the prompt
                raise Unsupported(asked.client.turns, _NOT_TAKEN) from None
            if not found:
                raise
    return found


def _sent(asked: Asked, target: Target, shared: "_Translated | None") -> Sent:
    endpoint, wire, body = target.endpoint, target.wire, asked.body
    name = target.name if endpoint.returns_state else ""
    if asked.ask.prompt:
        translation = concealed(asked.client.operation, wire.operation, asked.ask.model)
    else:
        translation = TRANSLATIONS[asked.client.operation, wire.operation]
    if shared is None:
        source = Source(target.name, translation.asked(body))
        body = translation.request(body, translation.origin(body, name))
    else:
        source = Source(target.name, shared.asked(translation))
        body = shared.by(translation, name)
    body = with_ours(body, target, asked.user)
    may_reason = wire.may_reason(body, target.model, endpoint.reasoning)
    return Sent(translation, source, body, may_reason, are_kept(body, target))


class _Translated:
    """A client's body as the endpoints want it: those that want the same share one, or the refusal,
    since it may be large and the endpoints many."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self._found: dict[tuple[Translation, str], dict[str, Any]] = {}
        self._refused: dict[Translation, tuple[str, str]] = {}
        self._origins: set[str] = set()
        self._asked: dict[Translation, Mapping[str, Any]] = {}

    def asked(self, translation: Translation) -> Mapping[str, Any]:
        if translation not in self._asked:
            self._asked[translation] = translation.asked(self.body)
        return self._asked[translation]

    def by(self, translation: Translation, endpoint: str) -> dict[str, Any]:
        """Raises Unsupported."""
        origin = translation.origin(self.body, endpoint)
        if origin not in self._origins and len(self._origins) >= MOST_ORIGINS:
            origin = ""
        if origin:
            self._origins.add(origin)
        if (translation, origin) in self._found:
            return self._found[translation, origin]
        if translation not in self._refused:
            try:
                found = self._found[translation, origin] = translation.request(self.body, origin)
            except Unsupported as refusal:
                # Not itself: it would keep all that it passed through in memory.
                self._refused[translation] = refusal.param or "", refusal.message
            else:
                return found
        raise Unsupported(*self._refused[translation])
