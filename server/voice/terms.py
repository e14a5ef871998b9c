"""Terms: at what price, and within what bounds, the parts of a session are held and settled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from server import metrics
from server.amounts import is_amount
from server.metering.holding import Ending, Hold, Holding
from server.metering.meter import Meter
from server.metering.rules import NO_FAULT, Fault, Rules, input_not_allowed
from server.metering.voice_rules import voice_faults
from server.providers.reading import an_object
from server.tenants.models import THOUSAND
from server.tenants.policies import ANY_NUMBER
from server.voice.events import name_of
from server.voice.opening import Opening
from server.who import Ref

log = logging.getLogger(__name__)

LONGEST_ID = 40
"""Characters of each of the provider's IDs in the ledger: an anonymous user's is bounded."""


class Usage(NamedTuple):
    """In the model's tokens; `cached` is a part of the input."""

    input: int
    output: int
    cached: int = 0
    is_estimate: bool = False


class Need(NamedTuple):
    """What a part may use: it must read all of the input, and may produce less than `output`,
    though not less than `least`."""

    input: int
    output: int
    least: int


class Terms:
    """Of one session."""

    def __init__(self, opening: Opening, holding: Holding, meter: Callable[[], Meter]) -> None:
        """`meter` makes one for each hold and its settle."""
        who, name, model = opening.who, opening.name, opening.model
        self.opening = opening._replace(created={})  # it can be of megabytes, and the session long
        self._policies = opening.config.policies
        self._faults = voice_faults(opening.config, who.restricted, name, model)
        self.endpoint = opening.endpoint
        self.holding = holding
        self.timeouts = holding.timeouts
        self.spent = 0
        """Tokens taken until now."""
        self.weights = opening.endpoint.weights(opening.model)
        self.most_output = opening.endpoint.limit(opening.model)
        self.meter = meter
        session = an_object(opening.created.get("session"))
        self._ref: Ref = {**opening.ref, "session": name_of(session.get("id"))[:LONGEST_ID]}

    def hold(self, need: Need, end: Callable[[], Awaitable[Ending]]) -> Hold:
        """As Holding.hold; it is no request of its own, for the user's rate limit."""
        rules, most = self._judge(need)
        least = max(self.weights.most(need.input, need.least), 1)
        who, ref = self.opening.who, self.ref()
        return self.holding.hold(self.meter(), who, max(most, least), least, ref, end, rules)

    def limit(self, need: Need, tokens: int, policy: int) -> int:
        """Of the output that is covered by `tokens`, which are held for it."""
        left = tokens * THOUSAND - self.weights.of_prompt * need.input
        return max(min(self._output(policy, need), left // self.weights.output), 1)

    def ref(self, **more: str | int) -> Ref:
        """What the ledger says of a part of the session: of `more`, what is known."""
        named = {name: value for name, value in more.items() if value != ""}
        cut = {
            name: value[:LONGEST_ID] if isinstance(value, str) else value
            for name, value in named.items()
        }
        return {**self._ref, **cut}

    def cost(self, usage: Usage) -> int:
        return self.weights.cost(usage.input, usage.cached, usage.output)

    def ending(self, usage: Usage, tokens: int | None = None, **names: str) -> Ending:
        """`tokens`: what it costs, if that is not what the usage says."""
        ref = self.ref(**names) | {"input": usage.input, "output": usage.output}
        if usage.is_estimate:
            ref["estimated"] = True
        return Ending(self.cost(usage) if tokens is None else tokens, ref)

    def believed(self, value: Any) -> Usage | None:
        """A report of the provider's, which may be anything."""
        said = an_object(value)
        used_by_input, output = said.get("input_tokens"), said.get("output_tokens")
        if not (is_amount(used_by_input) and is_amount(output)):
            return None
        if not self.weights.can_be(used_by_input + output):
            return None
        cached = an_object(said.get("input_token_details")).get("cached_tokens")
        cached = min(cached, used_by_input) if is_amount(cached) else 0
        return Usage(used_by_input, output, cached)

    def report(self, outcome: str, seconds: float, tokens: int) -> None:
        """For the metrics: a response or a transcript is over."""
        tenant_id, name = self.opening.who.tenant_id, self.opening.name
        metrics.call_ended(tenant_id, name, "realtime", outcome, seconds, tokens)

    def owe(self, ending: Ending) -> asyncio.Task[None] | None:
        """For what ran without a hold; until it is charged. None if there is nothing to charge."""
        if not ending.tokens:
            return None
        return self.holding.owe(self.meter(), self.opening.who, ending)

    def _judge(self, need: Need) -> tuple[Rules, int]:
        """What each group may hold for this, and the most that any may."""
        told: list[str] = []
        faults: list[Fault] = []
        most = 0
        for number, policy in enumerate(self._policies.each):
            fault = self._faults[number]
            if fault is None and policy.max_input is not None and need.input > policy.max_input:
                fault = input_not_allowed(policy.max_input, need.input)
            faults.append(fault or NO_FAULT)
            if fault is not None:
                told.append(str(number))
                continue
            held = self.weights.most(need.input, self._output(number, need))
            told.append(f"{number} {held} {policy.concurrent or ANY_NUMBER}")
            most = max(most, held)
        return Rules(self._policies.verdicts(told), faults, is_rated=False), most

    def _output(self, policy: int, need: Need) -> int:
        most = self._policies.each[policy].max_output
        return need.output if most is None else max(min(need.output, most), need.least)
