"""What each policy of a tenant says of a call, before it is known whose call it is.

The script of the hold finds the user's group, and so the one that counts: what is refused there has
cost no other question, and takes nothing, nor of the rate.
"""

from collections.abc import Sequence
from typing import NamedTuple

from server.gateway.attempts import Attempt
from server.metering.rules import Rules
from server.tenants.policies import Policies, Policy

_ANY_NUMBER = 50
"""Calls at the same time: as many as a user may have holds."""

Fault = tuple[str, str]
"""The code and the message of a refusal."""
_NO_FAULT = "", ""


class Verdict(NamedTuple):
    """`most`: tokens that may be held. `limits`: of each attempt the output limit of a choice, in
    tokens; None for one that may not be tried. With a `fault` none of them counts."""

    fault: Fault | None
    most: int
    limits: Sequence[int | None]


class Judged(NamedTuple):
    """`verdicts` by the numbers of the policies; `most`: tokens that anybody may hold."""

    rules: Rules
    verdicts: list[Verdict]
    most: int


def judge(policies: Policies, attempts: list[Attempt], fault: Fault | None) -> Judged:
    """`fault`: what the call is refused with for any group."""
    told, most = "", attempts[0].least
    verdicts: list[Verdict] = []
    faults: list[Fault] = []
    for number, policy in enumerate(policies.each):
        verdict = Verdict(fault, 0, ()) if fault else _verdict(policy, attempts)
        verdicts.append(verdict)
        faults.append(verdict.fault or _NO_FAULT)
        if verdict.fault is not None:
            told += f"\n{number}\t"
            continue
        told += f"\n{number}\t{verdict.most} {policy.concurrent or _ANY_NUMBER}"
        if verdict.most > most:
            most = verdict.most
    return Judged(Rules(policies.of_groups, told, faults), verdicts, most)


def _verdict(policy: Policy, attempts: list[Attempt]) -> Verdict:
    limits: list[int | None] = []
    most = 0
    for attempt in attempts:
        limit = attempt.limit
        if not policy.is_open:
            fault = _fault(policy, attempt)
            if fault is not None:
                if not limits:
                    return Verdict(fault, 0, ())
                limits.append(None)
                continue
            if policy.max_output is not None:
                limit = min(limit, policy.max_output // attempt.ask.choices)
        limits.append(limit)
        most = max(most, attempt.most_within(limit))
    return Verdict(None, most, limits)


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
