"""What each policy of a tenant says of a call, before it is known whose call it is.

The script of the hold finds the user's group, and so the one that counts: what is refused there has
cost no other question, and takes nothing, nor of the rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.gateway.attempts import Attempt
from server.metering.rules import (
    MODEL_NOT_ALLOWED,
    NO_FAULT,
    PROMPTS_ONLY,
    Fault,
    Rules,
    input_not_allowed,
    without_faults,
)
from server.tenants.policies import ANY_NUMBER, Policies, Policy

Limits = Sequence[int | None]
"""Of each attempt the output limit of a choice, in tokens; None for one that may not be tried."""


@dataclass(slots=True)
class Judged:
    """`limits` by the numbers of the policies, without meaning where one refuses the call; `most`:
    tokens that anybody may hold."""

    rules: Rules
    limits: Sequence[Limits]
    most: int


def judge(policies: Policies, attempts: list[Attempt], fault: Fault | None) -> Judged:
    """`fault`: what the call is refused with for any group."""
    most = 0
    unbounded: list[int | None] = []
    for attempt in attempts:
        unbounded.append(attempt.limit)
        if attempt.most > most:
            most = attempt.most
    if policies.are_open and fault is None:
        return Judged(without_faults(policies.open_verdicts), (unbounded,), most)
    told: list[str] = []
    faults: list[Fault] = []
    limits: list[Limits] = []
    wanted = attempts[0].least
    for number, policy in enumerate(policies.each):
        of_policy, held = unbounded, most
        found = fault
        if found is None and not policy.is_open:
            of_policy, held, found = _bounded(policy, attempts)
        if found is not None:
            told.append(str(number))
        else:
            told.append(f"{number} {held} {policy.concurrent or ANY_NUMBER}")
            if held > wanted:
                wanted = held
        faults.append(found or NO_FAULT)
        limits.append(of_policy)
    return Judged(Rules(policies.verdicts(told), faults), limits, wanted)


def _bounded(policy: Policy, attempts: list[Attempt]) -> tuple[list[int | None], int, Fault | None]:
    """The limits, and the tokens that may be held. The fault is the first attempt's; others that
    have one are not tried."""
    limits: list[int | None] = []
    held, most_output = 0, policy.max_output
    for attempt in attempts:
        fault = fault_of(policy, attempt)
        if fault is not None:
            if not limits:
                return limits, 0, fault
            limits.append(None)
            continue
        limit, most = attempt.limit, attempt.most
        if most_output is not None and limit * attempt.ask.choices > most_output:
            limit = most_output // attempt.ask.choices
            most = attempt.most_within(limit)
        limits.append(limit)
        if most > held:
            held = most
    return limits, held, None


def fault_of(policy: Policy, attempt: Attempt) -> Fault | None:
    """What it refuses such a call with."""
    target, most_input, most_output = attempt.target, policy.max_input, policy.max_output
    kind, is_there, allowed = "text", policy.has_text, policy.text
    if target.wire.operation == "embeddings":
        kind, is_there, allowed = "embeddings", policy.has_embeddings, policy.embeddings
    if not is_there:
        return "endpoint_not_allowed", f"The user's group may not use {kind} endpoints"
    if policy.prompts_only and not attempt.ask.prompt:
        return PROMPTS_ONLY
    if not allowed.may_use(target.name, target.model) and not policy.may_fill(attempt.ask.prompt):
        return MODEL_NOT_ALLOWED
    if most_input is not None and attempt.prompt > most_input:
        return input_not_allowed(most_input, attempt.prompt)
    if most_output is not None and most_output // attempt.ask.choices < attempt.least_limit:
        return "output_not_allowed", (
            f"The user's group may get {most_output:,} tokens, which is too few for this call's "
            "choices or thinking"
        )
    return None
