"""Attempts: the endpoints that a call may go to, each with what it may cost there."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from server.amounts import LARGEST
from server.errors import Unsupported
from server.gateway.endpoints import Target
from server.gateway.options import Asked, refuse_options, with_ours
from server.providers.ask import Ask
from server.providers.bounds import MOST_REPLY_BYTES
from server.providers.translation import TRANSLATIONS, Source, Translation
from server.providers.wire import Form
from server.tenants.models import THOUSAND, Weights, in_tokens

_TOO_MANY_LOGPROBS = (
    "The logprobs of so many tokens can be too large for a reply in one piece: ask for a stream, a "
    "lower output limit, or fewer top_logprobs"
)


MOST_ORIGINS = 2
"""Endpoints of one call that get back what they gave: for each the body is translated by itself,
and all of these are in memory together."""


class Attempt(NamedTuple):
    """A call as one endpoint would get it.

    `source` is that of its reply. `body` is what `translation` made of the client's, and empty when
    it is not needed any more; `may_reason`: it may produce reasoning that a stream does not show.
    `prompt` is an estimate in the endpoint's tokens, `limit` the asked for or configured output
    limit of a choice, in tokens, and `least_limit` the one that makes sense: a token, and the
    thinking that was asked for, which providers want to be below the limit. `least` tokens must be
    held for that.
    """

    target: Target
    translation: Translation
    source: Source
    body: dict[str, Any]
    may_reason: bool
    prompt: int
    weights: Weights
    limit: int
    least_limit: int
    ask: Ask
    least: int

    def most_within(self, limit: int) -> int:
        """What the call can cost here with this output limit, in tokens."""
        return _most_cost(self.weights, self.prompt, limit * self.ask.choices)

    def limit_within(self, held: int, limit: int) -> int | None:
        """The output limit to send, at most `limit`, when `held` tokens are held; None if they do
        not suffice."""
        if held < self.least:
            return None
        affordable = held * THOUSAND - self.prompt * self.weights.of_prompt
        return min(limit, affordable // (self.weights.output * self.ask.choices))

    @property
    def form(self) -> Form:
        """How the endpoint is asked, as far as its config tells."""
        endpoint = self.target.endpoint
        return Form(endpoint.effective_limit_field, self.ask.stream, endpoint.takes_stream_options)

    def request(self, limit: int, form: Form) -> bytes:
        """The body to send."""
        return self.target.wire.request(self.body, self.target.model, limit, form)


def plan(asked: Asked, targets: list[Target]) -> list[Attempt]:
    """An attempt for each target that can serve it.

    Raises Unsupported if the first one cannot; of those to fall back on they are left out.
    """
    translated = _Translated(asked.body)
    attempts = [_attempt(translated, asked, targets[0])]
    for target in targets[1:]:
        try:
            attempts.append(_attempt(translated, asked, target))
        except Unsupported:
            continue
    return attempts


def forget_bodies(attempts: list[Attempt]) -> None:
    """When no other endpoint will be asked: they may be large, and the reply long in coming."""
    for attempt in attempts:
        attempt.body.clear()


class _Translated:
    """A client's body as the endpoints want it: those that want the same share one, or the refusal,
    since it may be large and the endpoints many."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self._found: dict[tuple[Translation, str], dict[str, Any]] = {}
        self._refused: dict[Translation, tuple[str, str]] = {}
        self._origins: set[str] = set()
        self._tools: dict[Translation, Mapping[str, str]] = {}

    def tools(self, translation: Translation) -> Mapping[str, str]:
        if translation not in self._tools:
            self._tools[translation] = translation.tools(self.body)
        return self._tools[translation]

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


def _attempt(translated: _Translated, asked: Asked, target: Target) -> Attempt:
    endpoint, ask, prompt = target.endpoint, asked.ask, asked.prompt
    refuse_options(asked, target)
    translation = TRANSLATIONS[asked.client.operation, target.wire.operation]
    weights = endpoint.weights(target.model)
    prompt_tokens = prompt.tokens(endpoint.image_tokens, endpoint.forced_size)
    limit = endpoint.limit(target.model) if ask.limit is None else ask.limit
    budget = ask.thinking_budget
    if not ask.stream and limit * ask.choices * ask.logprob_bytes > MOST_REPLY_BYTES:
        raise Unsupported("top_logprobs", _TOO_MANY_LOGPROBS)
    least_limit = min(budget + 1 if budget < limit else 1, limit)
    body = translated.by(translation, target.name if endpoint.returns_state else "")
    body = with_ours(body, target, asked.user)
    return Attempt(
        target,
        translation,
        Source(target.name, translated.tools(translation)),
        body,
        target.wire.may_reason(body, target.model, endpoint.reasoning),
        prompt_tokens,
        weights,
        limit,
        least_limit,
        ask,
        _most_cost(weights, prompt_tokens, least_limit * ask.choices),
    )


def _most_cost(weights: Weights, prompt: int, output: int) -> int:
    """In tokens."""
    return min(in_tokens(weights.of_prompt * prompt + weights.output * output), LARGEST)
