"""Taking: what one request has of its worker's leases of its tenant's limits."""

from collections.abc import Mapping

from server import metrics
from server.errors import TenantLimited
from server.metering.block import Taken
from server.metering.leases import TenantLeases


class Taking:
    """Nothing at first; in the end the request has used it, or gives it back."""

    def __init__(self, leases: TenantLeases, is_stream: bool) -> None:
        """`is_stream`: it also takes one of the streams, if they are limited."""
        self._leases = leases
        self._limits = leases.limits
        self._is_stream = is_stream and leases.limits.streams is not None
        self._is_call = leases.limits.calls_per_minute is not None
        self.tokens: Taken | None = None
        self._call: Taken | None = None
        self._has_slot = False
        self._held = 0

    def take(self, tokens: int, is_call: bool = True) -> bool:
        """Takes what is leased already; False where some is missing. `is_call`: one of the calls,
        too."""
        limits, leases = self._limits, self._leases
        self._is_call = self._is_call and is_call
        if limits.tokens_per_day is not None:
            self.tokens = leases.tokens.take(tokens)
            if self.tokens is None:
                return False
        if self._is_call:
            self._call = leases.calls.take(1)
            if self._call is None:
                return False
        if self._is_stream:
            self._has_slot = leases.streams.open()
            return self._has_slot
        return True

    async def ask(self, tenant_id: str, least: int, most: int, headers: Mapping[str, str]) -> None:
        """Leases what is missing: at least `least` tokens and up to `most`. Raises TenantLimited,
        with `headers` beside its own, and Unavailable."""
        limits, leases, limit = self._limits, self._leases, "tokens_per_day"
        try:
            if limits.tokens_per_day is not None and self.tokens is None:
                self.tokens = await leases.tokens.ask(least, most)
            limit = "calls_per_minute"
            if self._is_call and self._call is None:
                self._call = await leases.calls.ask(1, 1)
            limit = "streams"
            if self._is_stream and not self._has_slot:
                await leases.streams.ask()
                self._has_slot = True
        except TenantLimited as refusal:
            metrics.tenant_limited(tenant_id, limit)
            refusal.headers = {**headers, **refusal.headers}
            raise

    def give_back(self) -> None:
        """All of it: the request took nothing."""
        self.cost(0)
        if self._call is not None:
            self._leases.calls.give_back(*self._call)
            self._call = None
        self.close()

    def cost(self, tokens: int) -> None:
        """So many of the tokens are used, or held; the others go back."""
        if self.tokens is not None:
            taken, day = self.tokens
            self._leases.tokens.give_back(taken - tokens, day)
            self.tokens = Taken(tokens, day)

    def hold(self) -> None:
        """A call holds the tokens until it is closed, and then gives back what it did not use."""
        if self.tokens is not None:
            self._held = self.tokens.units
            self._leases.tokens.held += self._held

    def close(self) -> None:
        """The call is over, but for what it has used."""
        self._leases.tokens.held -= self._held
        self._held = 0
        if self._has_slot:
            self._has_slot = False
            self._leases.streams.close()
