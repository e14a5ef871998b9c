"""The refusals for want of tokens, and of what is not for all; server/errors.py has the others.

Refusal
├── PaymentRequired       402  the balance does not cover it
├── NotAllowed            403  a provider call that is not for the user's group, or its key
├── NotFound              404
│   └── NoResponse        404  none of this ID is kept for the user
└── TooManyRequests       429
    ├── TokensHeld        429  not now: other calls of the user hold what is missing
    └── TooManyCalls      429  not now: as many as the group may have are under way
"""

from collections.abc import Mapping

from server.errors import NotFound, Refusal, TooManyRequests

HELD_RETRY_MS = 5_000
"""When another call ends nobody knows."""


class PaymentRequired(Refusal):
    """`needed` tokens at least, of which there are `tokens_left`, beside `tokens_held`."""

    label = "payment_required"
    status = 402
    message = "Payment Required"
    code = "insufficient_quota"
    is_final = True

    def __init__(
        self, needed: int, tokens_left: int, tokens_held: int, headers: Mapping[str, str]
    ) -> None:
        self.needed = needed
        self.tokens_left = tokens_left
        self.tokens_held = tokens_held
        held = {"tokensHeld": tokens_held} if tokens_held else {}
        super().__init__({"tokensLeft": tokens_left, **held}, headers)

    @property
    def is_held(self) -> bool:
        """What is missing may come back: open holds have it."""
        return self.tokens_left < self.needed <= self.tokens_left + self.tokens_held

    def told(self) -> str:
        left, held = self.tokens_left, self.tokens_held
        told = f"This call needs at least {self.needed:,} tokens; {left:,} {_are(left)} left"
        return f"{told}, {held:,} {_are(held)} held by other calls" if held else told


class NotAllowed(Refusal):
    """`code` says what of the call it is."""

    label = "not_allowed"
    status = 403
    is_final = True

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.param = "model" if code == "model_not_allowed" else None
        self.message = message
        super().__init__(headers=headers)


class TooManyCalls(TooManyRequests):
    label = "too_many_calls"
    message = "Too many calls at the same time"
    code = "too_many_calls"

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(HELD_RETRY_MS, headers)


class NoResponse(NotFound):
    """`param`: the member that asks for it, if it was one."""

    label = "no_response"
    is_native = False
    code = "response_not_found"

    def __init__(self, response_id: str, param: str | None = None) -> None:
        self.message = f"No response with the ID {response_id[:100]!r} is kept for this user"
        self.param = param
        super().__init__()


class TokensHeld(TooManyRequests):
    label = "tokens_held"
    code = "tokens_held"

    def __init__(self, lacking: PaymentRequired) -> None:
        """`lacking`: what the last try was refused with."""
        super().__init__(HELD_RETRY_MS, lacking.headers)
        self.extra = lacking.extra
        self.message = lacking.told()


def _are(tokens: int) -> str:
    return "is" if tokens == 1 else "are"
