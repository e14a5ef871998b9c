"""Exchange: a call at one endpoint, and what it has cost so far."""

from dataclasses import dataclass
from time import monotonic

import orjson

from server.errors import Unsupported
from server.gateway.attempts import Attempt
from server.gateway.bodies import Sent
from server.providers.errors import ProviderError
from server.providers.usage import Counts
from server.providers.wire import Form
from server.who import Ref

_LONGEST_MODEL = 100


@dataclass(slots=True)
class Cost:
    """`tokens` are charged for `input` and `output`, in the model's tokens; `is_estimate` if the
    provider did not report all its usage."""

    tokens: int
    input: int
    output: int
    is_estimate: bool


class Exchange:
    """From the moment an endpoint is tried: whatever happens then, `cost` can be told."""

    def __init__(self, attempt: Attempt, sent: Sent, limit: int, held: int) -> None:
        """`limit`: the output limit that is sent, in tokens a choice; `held`: all that is held for
        the call, in tokens."""
        self.attempt = attempt
        self.sent = sent
        self.limit = limit
        self._held = held
        target, ask = attempt.target, attempt.ask
        self._forms = [target.forms[ask.stream]]
        """Those that it has been sent in; the last one is the present."""
        self.tally = target.wire.tally(ask.choices, *target.secrets)
        if ask.prompt:
            self.tally.has_words = False
        self.progress = self.tally.progress
        self.was_sent = False
        """The endpoint may have some of the request."""
        self.is_owed = False
        """It costs what was used, though the client gets nothing, and no other endpoint is asked:
        an answer had begun that users can make too large or too slow to be read."""
        self._started = monotonic()

    def body(self) -> bytes:
        """What is sent. Raises Unsupported."""
        try:
            target = self.attempt.target
            return target.wire.request(self.sent.body, target.model, self.limit, self.form)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise Unsupported("messages", "The request is nested too deeply") from None

    @property
    def form(self) -> Form:
        return self._forms[-1]

    def reword(self, refused: str) -> bool:
        """After a refusal that names the member `refused`: is there another way to say it, in which
        it has not been sent yet? From now on it is said so."""
        form = self.form.reworded(refused)
        if form in self._forms or self.attempt.target.wire.operation != "chat":
            return False
        self._forms.append(form)
        return True

    def begin(self) -> None:
        self.was_sent = True

    @property
    def most_output(self) -> int:
        """Of all choices, in tokens."""
        return self.limit * self.attempt.ask.choices

    def owe(self, failure: ProviderError, size: int = 0) -> ProviderError:
        """The answer has begun and breaks off; `size` bytes of it were not counted. Returns the
        refusal for a client that has nothing of it yet."""
        self.is_owed = True
        failure.is_final = True  # it would cost as much again
        self.tally.break_off(failure, size, self.most_output)
        return failure

    @property
    def seconds(self) -> float:
        return monotonic() - self._started

    def cost(self) -> Cost:
        """What to settle the hold to, if nothing more comes."""
        attempt, progress, output = self.attempt, self.progress, self.tally.output
        reported = progress.usage or Counts()
        if not attempt.weights.can_be(reported.sum):
            reported = Counts()
        used_by_input, produced = reported.believed(output.least_report, output.tokens)
        is_known = progress.has_all_usage and None not in (used_by_input, produced)
        if produced is None or not progress.has_all_usage:
            # Anthropic reports the input first, and the output as far as it had got.
            produced = max(produced or 0, output.tokens, reported.reasoning)
        if used_by_input is None:
            used_by_input = max(attempt.prompt, reported.read + reported.written)
        cached = min(reported.read, used_by_input)
        tokens = attempt.weights.cost(used_by_input, cached, produced)
        if not is_known and progress.state != "ended" and self.sent.may_reason:
            # It broke off, and nobody knows what had been produced unseen.
            tokens = max(tokens, self._held)
        return Cost(tokens, used_by_input, produced, not is_known)


def ref_of(attempt: Attempt, ref: Ref) -> Ref:
    """What the ledger says of a call, besides `ref`: a model only if the tenant has named it, for
    else users could fill Redis with names of their own; of a prompt its name alone."""
    if attempt.ask.prompt:
        return {**ref, "model": attempt.ask.model}
    target = attempt.target
    found: Ref = {**ref, "endpoint": target.name}
    if target.model in target.endpoint.named_models:
        found["model"] = target.model[:_LONGEST_MODEL]
    return found
