"""Rules: what the groups of a config let a user hold for a call, before it is known who that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.errors import Refusal
from server.metering.errors import NotAllowed, TooManyCalls
from server.metering.results import rate_of
from server.store.status import Status

REFUSED_BY_RULES = frozenset({Status.NOT_ALLOWED, Status.UNKNOWN_GROUP, Status.TOO_MANY_CALLS})

Fault = tuple[str, str]
"""The code and the message of a refusal."""
NO_FAULT = "", ""


@dataclass(slots=True)
class Rules:
    """`verdicts` as lua/hold.lua wants them; `faults` are those of the policies, by their numbers,
    NO_FAULT where one refuses nothing. `is_rated`: the hold counts towards the rate limit of its
    user, and the calls of its tenant; not so where it is part of what has counted already."""

    verdicts: str
    faults: Sequence[Fault]
    is_rated: bool = True

    def refusal(self, status: Status, values: list[Any]) -> Refusal:
        """What the script's answer means."""
        headers = rate_of(values).headers_of_refusal(values[0])
        if status is Status.TOO_MANY_CALLS:
            return TooManyCalls(headers)
        if status is Status.UNKNOWN_GROUP:
            return NotAllowed(*UNKNOWN_GROUP, headers)
        number: int = values[6]
        return NotAllowed(*self.faults[number], headers)


@lru_cache(1_000)  # which are those of as many tenants
def without_faults(verdicts: str) -> Rules:
    """Of policies that refuse nothing."""
    return Rules(verdicts, ())


def input_not_allowed(most: int, tokens: int) -> Fault:
    """A policy's, of input that is about so many tokens."""
    return "input_not_allowed", (
        f"The user's group may send {most:,} tokens, and these are about {tokens:,}"
    )


PROMPTS_ONLY = "prompts_only", "The user's group may use the tenant's prompts only"
MODEL_NOT_ALLOWED = "model_not_allowed", "The user's group may not use this model"
UNKNOWN_GROUP = "group_not_allowed", "The user's group does not exist any more"
NO_RULES = Rules("", ())
