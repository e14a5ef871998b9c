"""Sessions: what a user may do with the API keys that it has."""

from typing import Any, NamedTuple

from server.errors import InvalidApiKey
from server.identity.account import Seen, see
from server.identity.records import Records
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.who import Who

STILL_WORKS_MS = 300_000
"""The old key, since the reply with the new one may be lost."""


class Rotated(NamedTuple):
    api_key: str
    old_expires_at_ms: int


class Sessions:
    """Of the users in `store`; temporary ones live for at most `ttl_ms` from when they are used.
    Every call raises InvalidApiKey, Unavailable and Unreadable."""

    def __init__(self, store: Store, ttl_ms: int, ledger_size: int) -> None:
        self._store = store
        self._records = Records(store)
        # Of a temporary user, that spends or is renewed meanwhile.
        self._key_ttl_ms = ttl_ms + STILL_WORKS_MS
        self._ledger_size = ledger_size

    async def me(self, who: Who) -> Seen:
        seen = await see(self._store, who.tenant_id, who.user_id, who.api_key, self._ledger_size)
        if seen.status is not Status.OK:
            raise InvalidApiKey
        return seen

    async def rotate(self, who: Who) -> Rotated:
        """Another key for the one that it came with."""
        api_key = await self._records.make(who.user_id, self._key_ttl_ms)
        status, values = await self._rotate(who, api_key, is_permanent=False)
        if status is Status.KEYS_EXPIRE:
            await self._records.make_permanent(api_key)
            status, values = await self._rotate(who, api_key, is_permanent=True)
        if status is Status.UNKNOWN_KEY:
            await self._records.remove([api_key], who.user_id)
            raise InvalidApiKey
        old_expires_at_ms, ended = values
        await self._records.end(who.api_key, who.user_id, old_expires_at_ms)
        await self._records.remove([key.decode() for key in ended], who.user_id)
        return Rotated(api_key, old_expires_at_ms)

    async def _rotate(self, who: Who, api_key: str, is_permanent: bool) -> tuple[Status, list[Any]]:
        return await self._store.run(
            "rotate",
            keys.of_account(who.user_id),
            *(who.tenant_id, who.api_key, api_key),
            *(STILL_WORKS_MS, int(is_permanent), self._ledger_size),
        )

    async def log_out(self, who: Who, everywhere: bool) -> None:
        """Ends the key that it came with, or all that the user has."""
        status = await self._end(who.tenant_id, who.user_id, who.api_key, everywhere)
        if status is Status.UNKNOWN_KEY:  # whoever removed it may have died before its record
            await self._records.remove([who.api_key], who.user_id)
        if status is not Status.OK:
            raise InvalidApiKey

    async def end_all(self, tenant_id: str, user_id: str) -> None:
        """Ends all keys, whoever asks; there need not be such a user."""
        await self._end(tenant_id, user_id, "", True)

    async def _end(self, tenant_id: str, user_id: str, api_key: str, everywhere: bool) -> Status:
        status, values = await self._store.run(
            "logout",
            keys.of_login(user_id),
            *(tenant_id, api_key, int(everywhere), self._ledger_size),
        )
        if status is Status.OK:
            await self._records.remove([key.decode() for key in values[0]], user_id)
        return status
