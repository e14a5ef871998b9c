"""How a call goes, and how it goes wrong. Times are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Billing = Literal[
    "BILLED",
    "REFUNDED",
    "FREE_CONSOLE",
    "FREE_ZERO_EFFECTIVE_DURATION",
    "FREE_MINUTES",
    "FREE_SYSTEM_ERROR",
    "FREE_OTHER",
    "UNSPECIFIED",
]


@dataclass(frozen=True, kw_only=True)
class Course:
    status: int = 201
    """Of the answer to its creation; any other: no call is made."""
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: Literal["", "request", "answer"] = ""
    """The connection is reset, before the call is made or after it."""
    delay: float = 0
    """Before the answer, by the real clock."""

    overshoot: float = 0
    """How long it goes on past its maxDuration."""
    ignores_hang_up: bool = False

    bills_after: float | None = 5
    """Its end; None: it is not billed."""
    billing: Billing = "BILLED"
    """One that was not joined is FREE_ZERO_EFFECTIVE_DURATION in any case."""
    billed_seconds: float | None = None
    """None: how long it was joined, rounded up to 6."""
    side_input_tokens: int = 0
    side_output_tokens: int = 0

    callback_times: int = 1
    """How often each callback that was asked for is sent."""
    callback_delay: float = 0


@dataclass(frozen=True)
class Fault:
    """What requests get instead of an answer."""

    status: int = 0
    """0: the connection is reset."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"detail": "The double fails."}'
