"""Accounts: what a user has and what was done to it, and what an administrator gives."""

from typing import Any

import orjson

from server.amounts import LARGEST
from server.errors import Invalid, InvalidApiKey, KeyReused, NotFound, Unreadable
from server.metering.renewal import Renewal
from server.metering.results import Balance, Entry, GrantResult, iso_time, subscription_of
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.groups import Group, is_temporary
from server.who import Ref, Who


class Accounts:
    """Balances, ledgers and grants of the users in `store`; raises Unavailable and Unreadable as
    Meter does."""

    def __init__(self, store: Store, ledger_size: int, ttl_ms: int, renewal: Renewal) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept; `ttl_ms`: until a
        user who becomes temporary expires."""
        self._store = store
        self._renewal = renewal
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
                keys.account(who.user_id),
            ),
            who.tenant_id,
            who.credential,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            return None
        group, left, extra, held, used, limit, window, remaining, created_at = values[:9]
        expires, subscription = values[9:]
        expires_at = iso_time(expires[0]) if expires else None
        # To look is to use it, for one that has spent, and does so by its own key.
        if expires and used and who.api_key and who.restricted is None:
            self._renewal.consider(who, expires[0])
        created = _text(created_at)
        plan = subscription_of(subscription)
        amounts = (left, extra, held, used, limit, window, remaining)
        return Balance(_text(group), *amounts, created, expires_at, plan)

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
        """Adds `tokens`, which the user keeps when it is moved to another group, and makes it
        permanent. Raises NotFound, KeyReused, Invalid (more than 10^13 in all)."""
        values = ("grant", tokens, "", 0, 0, 0)
        return await self._run_grant(tenant_id, user_id, values, ref, idempotency_key)

    async def move(
        self,
        tenant_id: str,
        user_id: str,
        name: str,
        group: Group,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> GrantResult:
        """Moves the user to a group: its tokens and limits replace the user's, but for tokens that
        were granted, and the user becomes permanent or temporary, as the group is; with granted
        tokens it is permanent. Raises as `grant`.
        """
        ttl_ms = self._ttl_ms if is_temporary(name) else 0
        limits = (group.rate_limit, group.rate_limit_window)
        values = ("group", group.tokens, name, *limits, ttl_ms)
        return await self._run_grant(tenant_id, user_id, values, ref, idempotency_key)

    async def _run_grant(
        self,
        tenant_id: str,
        user_id: str,
        values: tuple[str, int, str, int, int, int],
        ref: Ref,
        idempotency_key: str | None,
    ) -> GrantResult:
        once_fields, cause = keys.once_fields("grant", idempotency_key), orjson.dumps(ref)
        given = (tenant_id, *values, *once_fields, self._ledger_size, cause)
        status, reply = await self._give(user_id, given)
        if status is Status.UNKNOWN_USER:
            raise NotFound
        if status is Status.KEY_REUSED:
            raise KeyReused
        if status is Status.TOO_LARGE:
            message = f"balance and all grants together may be at most {LARGEST}"
            raise Invalid("Invalid grant", [{"path": "tokens", "message": message}])
        tokens_left, group, api_keys, expires = reply
        for api_key in map(_text, api_keys):
            await self._end_with_user(api_key, user_id, expires[0] if expires else None)
        return GrantResult(tokens_left, _text(group), status is Status.REPLAYED)

    async def _give(
        self, user_id: str, given: tuple[str | int | bytes, ...]
    ) -> tuple[Status, list[Any]]:
        """The keys before the user: it must not outlive them."""
        permanent_keys: list[str] = []
        while True:
            status, reply = await self._store.run(
                "grant",
                (
                    *(keys.user(user_id), keys.once(user_id), keys.ledger(user_id)),
                    keys.account(user_id),
                ),
                *given,
                orjson.dumps(permanent_keys),
            )
            if status is not Status.KEYS_EXPIRE:
                return status, reply
            for api_key in map(_text, reply[0]):
                await self._store.persist(keys.api_key(api_key))
                permanent_keys.append(api_key)

    async def _end_with_user(self, api_key: str, user_id: str, expires_at_ms: int | None) -> None:
        """Of grants at the same time, the last one that writes the key's expiry need not be the
        last one that decided the user's: so each looks what became of the user."""
        key = keys.api_key(api_key)
        while True:
            if expires_at_ms is None:
                await self._store.persist(key)
            else:
                # Never earlier than it does: the user may be about to be renewed.
                await self._store.end(key, expires_at_ms)
                await self._store.prolong(key, expires_at_ms)
            at = await self._store.expires_at_ms(keys.user(user_id))
            if at == expires_at_ms:
                return
            expires_at_ms = at


def _text(stored: bytes) -> str:
    """Raises Unreadable."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        raise Unreadable("text that is not UTF-8") from None
