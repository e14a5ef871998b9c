"""What each policy of a tenant says of a call, before it is known whose call it is.

The script of the hold finds the user's group, and so the one that counts: what is refused there has
cost no other question, and takes nothing, nor of the rate.
"""

from collections.abc import Sequence
from typing import NamedTuple

from server.gateway.attempts import Attempt
from server.metering.rules import Rules
from server.tenants.policies import ANY_NUMBER, Policies, Policy

Fault = tuple[str, str]
"""The code and the message of a refusal."""
Limits = Sequence[int | None]
"""Of each attempt the output limit of a choice, in tokens; None for one that may not be tried."""
_NO_FAULT = "", ""


class Judged(NamedTuple):
    """`limits` by the numbers of the policies, empty for those that refuse the call; `most`: tokens
    that anybody may hold."""

    rules: Rules
    limits: Sequence[Limits]
    most: int


def judge(policies: Policies, attempts: list[Attempt], fault: Fault | None) -> Judged:
    """`fault`: what the call is refused with for any group."""
    most, unbounded = 0, []
    for attempt in attempts:
        unbounded.append(attempt.limit)
        if attempt.most > most:
            most = attempt.most
    if policies.are_open and fault is None:
        return Judged(Rules(policies.open_verdicts, ()), (unbounded,), most)
    told: list[str] = []
    faults: list[Fault] = []
    limits: list[Limits] = []
    for number, policy in enumerate(policies.each):
        found = fault or (unbounded if policy.is_open else _limits(policy, attempts))
        if isinstance(found, tuple):
            told.append(str(number))
            faults.append(found)
            limits.append(())
            continue
        held = most if policy.is_open else _most(attempts, found)
        told.append(f"{number} {held} {policy.concurrent or ANY_NUMBER}")
        faults.append(_NO_FAULT)
        limits.append(found)
    return Judged(Rules(policies.verdicts(told), faults), limits, most)


def _limits(policy: Policy, attempts: list[Attempt]) -> list[int | None] | Fault:
    """The fault is the first attempt's; others that have one are not tried."""
    limits: list[int | None] = []
    for attempt in attempts:
        fault = _fault(policy, attempt)
        if fault is None:
            limit, most = attempt.limit, policy.max_output
            limits.append(limit if most is None else min(limit, most // attempt.ask.choices))
        elif limits:
            limits.append(None)
        else:
            return fault
    return limits


def _most(attempts: list[Attempt], limits: Limits) -> int:
    """Tokens that may be held."""
    pairs = zip(attempts, limits, strict=True)
    return max(attempt.most_within(limit) for attempt, limit in pairs if limit is not None)


def _fault(policy: Policy, attempt: Attempt) -> Fault | None:
    target, most_input, most_output = attempt.target, policy.max_input, policy.max_output
    if not policy.has_text:
        return "endpoint_not_allowed", "The user's group may not use text endpoints"
    if policy.prompts_only:
        return "prompts_only", "The user's group may use the tenant's prompts only"
    if not policy.may_use(target.name, target.model):
        return "model_not_allowed", "The user's group may not use this model"
    if most_input is not None and attempt.prompt > most_input:
        return "input_not_allowed", (
            f"The user's group may send {most_input:,} tokens, and these are about "
            f"{attempt.prompt:,}"
        )
    if most_output is not None and most_output // attempt.ask.choices < attempt.least_limit:
        return "output_not_allowed", (
            f"The user's group may get {most_output:,} tokens, which is too few for this call's "
            "choices or thinking"
        )
    return None
