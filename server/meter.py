"""Meter: what a user may spend. Each call is one Lua script, one atomic step in Redis."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from server import keys
from server.errors import (
    Invalid,
    InvalidApiKey,
    KeyReused,
    NotFound,
    PaymentRequired,
    TooManyRequests,
)
from server.status import Status
from server.store import Store
from server.tenants import Group

LARGEST = 10**13
"""The most tokens that any amount or balance can be; Lua's JSON keeps 14 digits."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A user's rate limit: `limit` requests in `window` seconds."""

    limit: int
    window: int
    remaining: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        """RateLimit-Policy and RateLimit, as in the IETF draft "RateLimit header fields"."""
        return {
            "ratelimit-policy": f'"requests";q={self.limit};w={self.window}',
            "ratelimit": f'"requests";r={self.remaining};t={ceil(self.reset_ms / 1000)}',
        }


@dataclass(frozen=True, slots=True)
class Charged:
    """The reply to a charge; `replayed`: the first one with this Idempotency-Key, kept."""

    tokens_left: int
    rate: Rate
    replayed: bool


@dataclass(frozen=True, slots=True)
class Granted:
    """The reply to a grant, and what the user's API keys must be made to agree with."""

    tokens_left: int
    group: str
    api_keys: tuple[str, ...]
    expires_at_ms: int | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class Balance:
    group: str
    tokens_left: int
    tokens_held: int
    tokens_used: int
    rate_limit: int
    rate_limit_window: int
    rate_remaining: int
    created_at: str
    expires_at: str | None


def iso_time(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return (
        datetime.fromtimestamp(ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def _once_field(operation: str, idempotency_key: str | None) -> str:
    """Hashed, so that its size is bounded; by operation, so that none can occupy another's."""
    if idempotency_key is None:
        return ""
    return f"{operation}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


class Meter:
    """Charges, grants and balances of the users in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def charge(
        self,
        tenant_id: str,
        user_id: str,
        api_key: str,
        tokens: int,
        idempotency_key: str | None = None,
    ) -> Charged:
        """Takes `tokens` (1 to 10^13) from the balance.

        Raises InvalidApiKey, KeyReused, TooManyRequests, PaymentRequired (nothing was taken), and
        Unavailable: then it may have been taken, and a repetition needs an Idempotency-Key.
        """
        status, values = await self._store.run(
            "charge",
            (keys.user(user_id), keys.rate(user_id), keys.once(user_id)),
            tenant_id,
            api_key,
            tokens,
            _once_field("charge", idempotency_key),
        )
        tokens_left, rate = _metered(status, values)
        return Charged(tokens_left, rate, status is Status.REPLAYED)

    async def balance(self, tenant_id: str, user_id: str, api_key: str) -> Balance:
        """Raises InvalidApiKey."""
        status, values = await self._read_balance(tenant_id, user_id, api_key)
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        return _balance(values)

    async def balance_of_user(self, tenant_id: str, user_id: str) -> Balance:
        """For an administrator. Raises NotFound."""
        status, values = await self._read_balance(tenant_id, user_id, "")
        if status is Status.UNKNOWN_KEY:
            raise NotFound
        return _balance(values)

    async def _read_balance(
        self, tenant_id: str, user_id: str, api_key: str
    ) -> tuple[Status, list[Any]]:
        return await self._store.run(
            "balance", (keys.user(user_id), keys.rate(user_id)), tenant_id, api_key
        )

    async def grant_tokens(
        self, tenant_id: str, user_id: str, tokens: int, idempotency_key: str | None = None
    ) -> Granted:
        """Adds `tokens`. Raises NotFound, KeyReused, Invalid (more than 10^13 in all)."""
        return await self._grant(tenant_id, user_id, (tokens, "", 0, 0, 0), idempotency_key)

    async def grant_group(
        self,
        tenant_id: str,
        user_id: str,
        name: str,
        group: Group,
        ttl_ms: int,
        idempotency_key: str | None = None,
    ) -> Granted:
        """Moves the user to a group: its tokens and limits replace the user's. Raises as above.

        `ttl_ms` is for a permanent user who becomes anonymous, hence temporary, again.
        """
        values = (group.tokens, name, group.rate_limit, group.rate_limit_window, ttl_ms)
        return await self._grant(tenant_id, user_id, values, idempotency_key)

    async def _grant(
        self,
        tenant_id: str,
        user_id: str,
        values: tuple[int, str, int, int, int],
        idempotency_key: str | None,
    ) -> Granted:
        status, reply = await self._store.run(
            "grant",
            (keys.user(user_id), keys.once(user_id)),
            tenant_id,
            *values,
            _once_field("grant", idempotency_key),
        )
        if status is Status.UNKNOWN_USER:
            raise NotFound
        if status is Status.KEY_REUSED:
            raise KeyReused
        if status is Status.TOO_LARGE:
            message = f"balance and all grants together may be at most {LARGEST}"
            raise Invalid("Invalid grant", [{"path": "tokens", "message": message}])
        tokens_left, group, api_keys, expires = reply
        return Granted(
            tokens_left,
            group.decode(),
            tuple(key.decode() for key in api_keys),
            expires[0] if expires else None,
            status is Status.REPLAYED,
        )


def _metered(status: Status, values: list[Any]) -> tuple[int, Rate]:
    """The values of a script that charges; raises for each status that is a refusal."""
    if status is Status.UNKNOWN_KEY:
        raise InvalidApiKey
    tokens_left, limit, window, remaining, reset_ms, retry_after_ms = values
    rate = Rate(limit, window, remaining, reset_ms)
    if status is Status.KEY_REUSED:
        raise KeyReused
    if status in (Status.RATE_LIMITED, Status.TOO_MANY_KEYS):
        raise TooManyRequests(retry_after_ms, rate.headers())
    if status is Status.NO_TOKENS:
        raise PaymentRequired(tokens_left, rate.headers())
    return tokens_left, rate


def _balance(values: list[Any]) -> Balance:
    group, left, held, used, limit, window, remaining, created_at, expires = values
    return Balance(
        group.decode(),
        left,
        held,
        used,
        limit,
        window,
        remaining,
        created_at.decode(),
        iso_time(expires[0]) if expires else None,
    )
