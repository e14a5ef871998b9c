"""Accounts: what a user has and what was done to it, and what an administrator gives."""

import orjson

from server.amounts import LARGEST
from server.errors import Invalid, InvalidApiKey, KeyReused, NotFound, Unreadable
from server.metering.results import Balance, Entry, GrantResult, iso_time
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.groups import Group, is_temporary
from server.who import Ref, Who


class Accounts:
    """Balances, ledgers and grants of the users in `store`; raises Unavailable and Unreadable as
    Meter does."""

    def __init__(self, store: Store, ledger_size: int, ttl_ms: int) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept; `ttl_ms`: until a
        user who becomes temporary expires."""
        self._store = store
        self._ttl_ms = ttl_ms
        self._ledger_size = ledger_size

    async def balance(self, who: Who) -> Balance:
        """Of a restricted key its own tokens, and its expiry. Raises InvalidApiKey."""
        found = await self._read_balance(who)
        if found is None:
            raise InvalidApiKey
        return found

    async def balance_of_user(self, tenant_id: str, user_id: str) -> Balance:
        """For an administrator. Raises NotFound."""
        found = await self._read_balance(Who(tenant_id, user_id, ""))
        if found is None:
            raise NotFound
        return found

    async def _read_balance(self, who: Who) -> Balance | None:
        status, values = await self._store.run(
            "balance",
            (
                *(keys.user(who.user_id), keys.rate(who.user_id)),
                *(keys.ledger(who.user_id), keys.restricted(who.user_id)),
            ),
            who.tenant_id,
            who.credential,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            return None
        group, left, held, used, limit, window, remaining, created_at, expires = values
        expires_at = iso_time(expires[0]) if expires else None
        created = _text(created_at)
        return Balance(
            _text(group), left, held, used, limit, window, remaining, created, expires_at
        )

    async def ledger(self, who: Who, limit: int, before: int) -> list[Entry]:
        """At most `limit` entries numbered below `before`, newest first.

        Raises InvalidApiKey.
        """
        status, values = await self._store.run_bulk(
            "ledger",
            (keys.user(who.user_id), keys.ledger(who.user_id)),
            who.tenant_id,
            who.api_key,
            limit,
            before,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        try:
            return [Entry(*orjson.loads(entry)) for entry in values[0]]
        except (ValueError, TypeError):
            raise Unreadable(f"the ledger of user {who.user_id}") from None

    async def grant(
        self,
        tenant_id: str,
        user_id: str,
        tokens: int,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> GrantResult:
        """Adds `tokens`. Raises NotFound, KeyReused, Invalid (more than 10^13 in all)."""
        values = ("grant", tokens, "", 0, 0, 0)
        granted, _, _ = await self._run_grant(tenant_id, user_id, values, ref, idempotency_key)
        return granted

    async def move(
        self,
        tenant_id: str,
        user_id: str,
        name: str,
        group: Group,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> GrantResult:
        """Moves the user to a group: its tokens and limits replace the user's, and the user
        becomes permanent or temporary, as the group is. Raises as `grant`.
        """
        ttl_ms = self._ttl_ms if is_temporary(name) else 0
        limits = (group.rate_limit, group.rate_limit_window)
        values = ("group", group.tokens, name, *limits, ttl_ms)
        granted, api_keys, expires_at_ms = await self._run_grant(
            tenant_id, user_id, values, ref, idempotency_key
        )
        # Also after a replay: whoever made the first move may have died before this.
        for api_key in api_keys:
            await self._expire_with_user(api_key, user_id, expires_at_ms)
        return granted

    async def _expire_with_user(
        self, api_key: str, user_id: str, expires_at_ms: int | None
    ) -> None:
        """Of moves at the same time, the last one that writes the key's expiry need not be the last
        one that moved the user: so each looks what became of the user."""
        while True:
            await self._store.replace(keys.api_key(api_key), user_id, expires_at_ms)
            at = await self._store.expires_at_ms(keys.user(user_id))
            if at == expires_at_ms:
                return
            expires_at_ms = at

    async def _run_grant(
        self,
        tenant_id: str,
        user_id: str,
        values: tuple[str, int, str, int, int, int],
        ref: Ref,
        idempotency_key: str | None,
    ) -> tuple[GrantResult, list[str], int | None]:
        """The grant, the API keys that are to expire with the user, and when (None: never)."""
        status, reply = await self._store.run(
            "grant",
            (keys.user(user_id), keys.once(user_id), keys.ledger(user_id)),
            tenant_id,
            *values,
            *keys.once_fields("grant", idempotency_key),
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
        granted = GrantResult(tokens_left, _text(group), status is Status.REPLAYED)
        return granted, [_text(key) for key in api_keys], expires[0] if expires else None


def _text(stored: bytes) -> str:
    """Raises Unreadable."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        raise Unreadable("text that is not UTF-8") from None
