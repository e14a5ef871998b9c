"""Meter: what a user may spend. Each call is one Lua script, one atomic step in Redis."""

import hashlib
from secrets import token_hex
from typing import Any, Literal

import orjson

from server import keys
from server.errors import (
    Invalid,
    InvalidApiKey,
    KeyReused,
    NotFound,
    PaymentRequired,
    TooManyRequests,
    UnknownHold,
)
from server.results import Balance, Charged, Entry, Granted, Held, Rate, Settled, iso_time
from server.status import Status
from server.store import Store
from server.tenants import Group

LARGEST = 10**13
"""The most tokens that any amount or balance can be; Lua's JSON keeps 14 digits."""

Ref = dict[str, str | int]
"""What a ledger entry says of its cause, for example the request's ID; small."""

Kind = Literal["api", "own"]
"""A hold made over HTTP, or by the gateway; neither can settle the other's."""


class Meter:
    """Charges, holds, grants and balances of the users in `store`.

    Every call raises Unavailable when Redis does not answer: then its change may have been made
    or not, and only a repetition with the same Idempotency-Key cannot make it twice.
    """

    def __init__(self, store: Store, ledger_size: int) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept."""
        self._store = store
        self._ledger_size = ledger_size

    async def charge(
        self,
        tenant_id: str,
        user_id: str,
        api_key: str,
        tokens: int,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> Charged:
        """Takes `tokens` (1 to 10^13) from the balance.

        Raises InvalidApiKey, KeyReused, TooManyRequests, PaymentRequired: nothing was taken.
        """
        status, values = await self._store.run(
            "charge",
            keys.of_metered(user_id),
            tenant_id,
            api_key,
            tokens,
            _once_field("charge", idempotency_key),
            self._ledger_size,
            orjson.dumps(ref),
        )
        tokens_left, rate = _metered(status, values)
        return Charged(tokens_left, rate, status is Status.REPLAYED)

    async def hold(
        self,
        tenant_id: str,
        user_id: str,
        api_key: str,
        wanted: int,
        minimum: int,
        ttl_ms: int,
        kind: Kind,
        ref: Ref,
        idempotency_key: str | None = None,
        hold_id: str | None = None,
    ) -> Held:
        """Sets aside `wanted` tokens, or what is left of them but at least `minimum`.

        They go back after `ttl_ms`. Raises as `charge`; TooManyRequests also for a 51st hold.
        """
        status, values = await self._store.run(
            "hold",
            keys.of_metered(user_id),
            tenant_id,
            api_key,
            wanted,
            minimum,
            ttl_ms,
            kind,
            hold_id or new_hold_id(),
            _once_field("hold", idempotency_key),
            self._ledger_size,
            orjson.dumps(ref),
        )
        tokens_left, rate = _metered(status, values)
        made_id, tokens, deadline_ms = values[6:]
        replayed = status is Status.REPLAYED
        return Held(made_id.decode(), tokens, tokens_left, deadline_ms, rate, replayed)

    async def extend(self, tenant_id: str, user_id: str, hold_id: str, ttl_ms: int) -> int:
        """Moves an own hold's deadline to `ttl_ms` from now; the deadline. Raises UnknownHold."""
        status, values = await self._store.run(
            "extend",
            (keys.user(user_id), keys.ledger(user_id)),
            tenant_id,
            hold_id,
            ttl_ms,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_HOLD:
            raise UnknownHold
        return int(values[0])

    async def settle(
        self,
        tenant_id: str,
        user_id: str,
        api_key: str,
        hold_id: str,
        tokens: int,
        kind: Kind,
        ref: Ref,
    ) -> Settled:
        """Replaces a hold by its cost, 0 to 10^13; settled again, the first reply.

        An own settle gives '' for `api_key`, and charges also when the hold has gone back. Raises
        InvalidApiKey (also when an own settle's user has expired) and UnknownHold.
        """
        status, values = await self._store.run(
            "settle",
            (keys.user(user_id), keys.ledger(user_id), keys.settled(user_id, hold_id)),
            tenant_id,
            api_key,
            hold_id,
            tokens,
            kind,
            self._ledger_size,
            orjson.dumps(ref),
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        if status is Status.UNKNOWN_HOLD:
            raise UnknownHold
        return Settled(*values)

    async def balance(self, tenant_id: str, user_id: str, api_key: str) -> Balance:
        """Raises InvalidApiKey."""
        found = await self._read_balance(tenant_id, user_id, api_key)
        if found is None:
            raise InvalidApiKey
        return found

    async def balance_of_user(self, tenant_id: str, user_id: str) -> Balance:
        """For an administrator. Raises NotFound."""
        found = await self._read_balance(tenant_id, user_id, "")
        if found is None:
            raise NotFound
        return found

    async def _read_balance(self, tenant_id: str, user_id: str, api_key: str) -> Balance | None:
        status, values = await self._store.run(
            "balance",
            (keys.user(user_id), keys.rate(user_id), keys.ledger(user_id)),
            tenant_id,
            api_key,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            return None
        group, left, held, used, limit, window, remaining, created_at, expires = values
        expires_at = iso_time(expires[0]) if expires else None
        created = created_at.decode()
        return Balance(
            group.decode(), left, held, used, limit, window, remaining, created, expires_at
        )

    async def ledger(
        self, tenant_id: str, user_id: str, api_key: str, limit: int, before: int
    ) -> list[Entry]:
        """At most `limit` entries numbered below `before` (0: all), newest first.

        Raises InvalidApiKey.
        """
        status, values = await self._store.run_large(
            "ledger",
            (keys.user(user_id), keys.ledger(user_id)),
            tenant_id,
            api_key,
            limit,
            before,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        return [Entry(*orjson.loads(entry)) for entry in values[0]]

    async def grant_tokens(
        self,
        tenant_id: str,
        user_id: str,
        tokens: int,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> Granted:
        """Adds `tokens`. Raises NotFound, KeyReused, Invalid (more than 10^13 in all)."""
        return await self._grant(tenant_id, user_id, (tokens, "", 0, 0, 0), ref, idempotency_key)

    async def grant_group(
        self,
        tenant_id: str,
        user_id: str,
        name: str,
        group: Group,
        ttl_ms: int,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> Granted:
        """Moves the user to a group: its tokens and limits replace the user's. Raises as above.

        `ttl_ms` is for a permanent user who becomes anonymous, hence temporary, again.
        """
        values = (group.tokens, name, group.rate_limit, group.rate_limit_window, ttl_ms)
        return await self._grant(tenant_id, user_id, values, ref, idempotency_key)

    async def _grant(
        self,
        tenant_id: str,
        user_id: str,
        values: tuple[int, str, int, int, int],
        ref: Ref,
        idempotency_key: str | None,
    ) -> Granted:
        status, reply = await self._store.run(
            "grant",
            (keys.user(user_id), keys.once(user_id), keys.ledger(user_id)),
            tenant_id,
            *values,
            _once_field("grant", idempotency_key),
            self._ledger_size,
            orjson.dumps(ref),
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


def new_hold_id() -> str:
    """128 random bits, so that nobody can guess another's."""
    return token_hex(16)


def _once_field(operation: str, idempotency_key: str | None) -> str:
    """Hashed, so that its size is bounded; by operation, so that none can occupy another's."""
    if idempotency_key is None:
        return ""
    return f"{operation}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def _metered(status: Status, values: list[Any]) -> tuple[int, Rate]:
    """The values of a script that admits; raises for each status that is a refusal."""
    if status is Status.UNKNOWN_KEY:
        raise InvalidApiKey
    tokens_left, limit, window, remaining, reset_ms, retry_after_ms = values[:6]
    rate = Rate(limit, window, remaining, reset_ms)
    if status is Status.KEY_REUSED:
        raise KeyReused
    if status in _TOO_MANY:
        raise TooManyRequests(retry_after_ms, rate.headers())
    if status is Status.NO_TOKENS:
        raise PaymentRequired(tokens_left, rate.headers())
    return tokens_left, rate


_TOO_MANY = (Status.RATE_LIMITED, Status.TOO_MANY_KEYS, Status.TOO_MANY_HOLDS)
