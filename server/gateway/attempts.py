"""Attempts: the endpoints that a call may go to, each with what it may cost there."""

from dataclasses import dataclass

from server.errors import Unsupported
from server.gateway.endpoints import Target
from server.gateway.options import Asked, refuse_options
from server.providers.ask import Ask
from server.providers.bounds import MOST_PARSED_BYTES, MOST_REPLY_BYTES
from server.tenants.models import THOUSAND, Weights

_TOO_MANY_LOGPROBS = (
    "The logprobs of so many tokens can be too large for a reply in one piece: ask for a stream, a "
    "lower output limit, or fewer top_logprobs"
)


@dataclass(slots=True)
class Attempt:
    """A call as one endpoint would get it.

    `prompt` is an estimate in the endpoint's tokens, `limit` the asked for or configured output
    limit of a choice, in tokens, and `least_limit` the one that makes sense: what the operation
    takes, and the thinking that was asked for, which providers want to be below the limit. `least`
    tokens must be held for that, and `most` is what it can cost with `limit`.
    """

    target: Target
    prompt: int
    weights: Weights
    limit: int
    least_limit: int
    ask: Ask
    least: int
    most: int

    def most_within(self, limit: int) -> int:
        """What the call can cost here with this output limit, in tokens."""
        return self.weights.most(self.prompt, limit * self.ask.choices)

    def limit_within(self, held: int, limit: int) -> int | None:
        """The output limit to send, at most `limit`, when `held` tokens are held; None if they do
        not suffice."""
        if held < self.least:
            return None
        affordable = held * THOUSAND - self.prompt * self.weights.of_prompt
        return min(limit, affordable // (self.weights.output * self.ask.choices))


def plan_attempts(asked: Asked, targets: list[Target]) -> list[Attempt]:
    """An attempt for each target that may serve it, as far as that can be told without translating
    the request.

    Raises Unsupported if the first one may not; of those to fall back on they are left out.
    """
    attempts = [_attempt(asked, targets[0])]
    for target in targets[1:]:
        try:
            attempts.append(_attempt(asked, target))
        except Unsupported:
            continue
    return attempts


def _attempt(asked: Asked, target: Target) -> Attempt:
    endpoint, ask, weights = target.endpoint, asked.ask, target.weights
    refuse_options(asked, target)
    prompt = asked.prompt.tokens(endpoint.image_tokens, endpoint.forced_size)
    limit = target.limit if ask.limit is None else ask.limit
    budget, choices = ask.thinking_budget, ask.choices
    # The last event of a response has all of it.
    is_whole = not ask.stream or asked.client.operation == "responses"
    most_bytes = MOST_PARSED_BYTES if ask.stream else MOST_REPLY_BYTES
    if is_whole and limit * choices * ask.logprob_bytes > most_bytes:
        raise Unsupported("top_logprobs", _TOO_MANY_LOGPROBS)
    least_limit = min(max(budget + 1 if budget < limit else 1, target.wire.least_limit), limit)
    least = weights.most(prompt, least_limit * choices)
    most = weights.most(prompt, limit * choices)
    return Attempt(target, prompt, weights, limit, least_limit, ask, least, most)
