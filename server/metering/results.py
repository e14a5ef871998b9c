"""What meter and accounts answer: typed values instead of a script's list."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Any, Literal, NamedTuple

import orjson
from multidict import istr

from server.errors import Unreadable
from server.metering.block import Taken

Op = Literal[
    "grant",
    "group",
    "charge",
    "hold",
    "settle",
    "release",
    "expire",
    "overrun",
    "refill",
    "upgrade",
    "pack",
    "refund",
    "lapse",
]
"""What a ledger entry was made by, in the words of the scripts."""

# Of a type that is known to be of lower case: to look for capitals in the names of headers costs a
# call half a percent.
TOKENS_LEFT = istr("x-tokens-left")
"""The header that tells the balance."""
_CHARGED = istr("x-tokens-charged")
_POLICY, _RATE = istr("ratelimit-policy"), istr("ratelimit")

# Of what is made for each request here and elsewhere nothing is changed later. A named tuple takes
# half as long again to make, and a frozen dataclass three times.


@dataclass(slots=True)
class Rate:
    """A user's rate limit: `limit` requests in `window` seconds."""

    limit: int
    window: int
    remaining: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        """RateLimit-Policy and RateLimit, as in the IETF draft "RateLimit header fields"."""
        return {
            _POLICY: _policy(self.limit, self.window),
            _RATE: f'"requests";r={self.remaining};t={ceil(self.reset_ms / 1000)}',
        }

    def headers_of_refusal(self, tokens_left: int) -> dict[str, str]:
        """The same, with the balance."""
        return {**self.headers(), TOKENS_LEFT: str(tokens_left)}


def rate_of(values: list[Any]) -> Rate:
    """Of what a script that admits answers after its status."""
    return Rate(*values[1:5])


@lru_cache(1000)
def _policy(limit: int, window: int) -> str:
    return f'"requests";q={limit};w={window}'


@dataclass(slots=True)
class ChargeResult:
    """A charge; `replayed`: the reply to the first one with this Idempotency-Key, kept."""

    tokens_left: int
    rate: Rate
    replayed: bool


@dataclass(slots=True)
class Checked:
    """A charge or a hold that would not be refused; `replayed`: it would be a replay."""

    tokens_left: int
    rate: Rate
    replayed: bool


@dataclass(slots=True)
class Held:
    """An open hold of `tokens`; `lapsed`: tokens of earlier ones that went back at their deadline,
    and count for the same day of the tenant's limit; `policy`: the number of the user's."""

    hold_id: str
    tokens: int
    tokens_left: int
    deadline_ms: int
    rate: Rate
    replayed: bool
    lapsed: int
    policy: int


@dataclass(slots=True)
class SettleResult:
    """A settled hold; `tokens` were taken, which can be less than the cost (overrun).

    `replayed`: it was settled before, and this is what the first settle took.
    """

    tokens: int
    tokens_left: int
    replayed: bool

    def headers(self) -> dict[str, str]:
        """For a client of the call that the hold was for."""
        return {_CHARGED: str(self.tokens), TOKENS_LEFT: str(self.tokens_left)}

    def told(self) -> dict[str, int]:
        """The same, for the end of a stream."""
        return {"tokensCharged": self.tokens, "tokensLeft": self.tokens_left}


class TimedCall(NamedTuple):
    """A call that is billed by time; `taken`: what its hold has of its tenant's tokens_per_day."""

    call_id: str
    hold_id: str
    taken: Taken | None


class GrantResult(NamedTuple):
    """Tokens that were added, or a move to a group; what the user has now."""

    tokens_left: int
    group: str
    replayed: bool


class Subscription(NamedTuple):
    """What a user is told of the plan that it pays for; `status` is Stripe's, `period_end_ms` 0 if
    there is none."""

    plan: str
    status: str
    period_end_ms: int
    ends: bool
    """At the period's end."""


def subscription_of(stored: bytes) -> Subscription | None:
    """None if no plan runs. Raises Unreadable."""
    try:
        return Subscription(*orjson.loads(stored)) if stored else None
    except (ValueError, TypeError):
        raise Unreadable("a subscription that is none") from None


class Balance(NamedTuple):
    """A user's balance and limits; `tokens_extra` of those left and held were granted or bought;
    times as ISO 8601, `expires_at` None for a permanent user; `plan` None if none runs."""

    group: str
    tokens_left: int
    tokens_extra: int
    tokens_held: int
    tokens_used: int
    rate_limit: int
    rate_limit_window: int
    rate_remaining: int
    created_at: str
    expires_at: str | None
    plan: Subscription | None


class Entry(NamedTuple):
    """One change of a balance: `tokens` is signed, `tokens_left` the balance after it."""

    number: int
    time_ms: int
    op: Op
    tokens: int
    tokens_left: int
    ref: dict[str, Any]


def iso_time(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds. Raises Unreadable: what is stored may be no time."""
    try:
        text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError, OverflowError, OSError):
        raise Unreadable("a time that is none") from None
    return text.replace("+00:00", "Z")
