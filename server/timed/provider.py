"""Provider: what is asked of those who bill by time, whatever their wire."""

from typing import Any, Literal, NamedTuple, Protocol

Status = Literal["created", "joined", "ended"]


class Account(NamedTuple):
    """A tenant's endpoint at the provider; `url` is of HTTP."""

    tenant_id: str
    url: str
    api_key: str


class Wanted(NamedTuple):
    """A call to be made. `options`: what the user has set, checked; `seconds`: the most that it may
    last; `mark`: by which the provider's records name it; `callback`: a URL to be told at, '' for
    none. `sample_rate` in Hz. `model` and `voice` are '' for the provider's own."""

    options: dict[str, Any]
    seconds: int
    mark: str
    callback: str
    model: str
    voice: str
    sample_rate: int


class Made(NamedTuple):
    """A new call; who has its `join_url` may join it."""

    call_id: str
    join_url: str


class Bill(NamedTuple):
    """What the provider bills: seconds, and the tokens of what ran beside the call."""

    seconds: int
    input_tokens: int = 0
    output_tokens: int = 0


class State(NamedTuple):
    """A call as its provider tells of it. `used`: seconds since somebody joined it, until now or
    until it ended, in the steps that are billed; `bill` is None while that is open, and `is_last`:
    it will tell no more."""

    status: Status
    used: int = 0
    ended_ms: int | None = None
    bill: Bill | None = None
    is_last: bool = False


class Provider(Protocol):
    """Each question raises ProviderError and ProviderRefused."""

    join_seconds: int
    """For which a new call may be joined."""
    step: int
    """Seconds that are billed at once."""

    async def make(self, account: Account, wanted: Wanted) -> Made: ...

    async def look(self, account: Account, call_id: str) -> State | None:
        """None if the provider knows no such call."""

    async def hang_up(self, account: Account, call_id: str) -> None:
        """Ends it, if somebody has joined it and it lasts."""
