"""Accounts: what a user has and what was done to it, and what an administrator gives."""

import orjson

from server.amounts import LARGEST
from server.errors import Invalid, InvalidApiKey, KeyReused, NotFound
from server.metering.results import Balance, Entry, Granted, iso_time
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.config import Group
from server.who import Ref


class Accounts:
    """Balances, ledgers and grants of the users in `store`; raises Unavailable as Meter does."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept."""
        self._store = store
        self._ledger_size = ledger_size

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
            keys.once_field("grant", idempotency_key),
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
