"""Rules: what the groups of a config let a user hold for a call, before it is known who that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.errors import Refusal
from server.metering.errors import NotAllowed, TooManyCalls
from server.metering.results import rate_of
from server.store.status import Status

REFUSED_BY_RULES = frozenset({Status.NOT_ALLOWED, Status.UNKNOWN_GROUP, Status.TOO_MANY_CALLS})


@dataclass(slots=True)
class Rules:
    """`verdicts` as lua/hold.lua wants them; `faults` are the code and the message of a refusal by
    the policy of that number. `is_rated`: the hold counts towards the rate limit of its user, and
    the calls of its tenant; not so where it is part of what has counted already."""

    verdicts: str
    faults: Sequence[tuple[str, str]]
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


UNKNOWN_GROUP = "group_not_allowed", "The user's group does not exist any more"
NO_RULES = Rules("", ())
