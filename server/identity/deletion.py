"""Deletion: a user goes, with all that is known of its person.

It is a few steps, each atomic and each done again without harm:

    close    all keys are refused from now on, and no login gives the user another
    release  each identity becomes nobody's; what stays of it says that it had its free tokens
    revoke   the login provider is told
    remove   the records of the keys
    bury     the user goes; for a day something stays in its place

Whatever one that died has left to do, a login of such an identity does, or `purge --closing`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from server.errors import InvalidApiKey
from server.identity.account import Account, parse, see
from server.identity.errors import RecentLoginRequired
from server.identity.records import Records
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.who import Who

Revoke = Callable[[str, str], Awaitable[None]]
"""Tells the login provider, by client ID and refresh token, that the account has gone, and raises
nothing of what comes of that."""


class Deletion:
    """Of the users in `store`; raises Unavailable and Unreadable."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        self._store = store
        self._records = Records(store)
        self._ledger_size = ledger_size

    async def delete(self, who: Who, revoke: Revoke | None) -> None:
        """The user itself asks. Raises InvalidApiKey, RecentLoginRequired."""
        seen = await see(self._store, who.tenant_id, who.user_id, who.api_key, self._ledger_size)
        if seen.status is not Status.OK:
            raise InvalidApiKey
        account = seen.account
        if account.identities and not account.is_recent(who.api_key, seen.now_ms):
            raise RecentLoginRequired
        fields = await self._close(who.tenant_id, who.user_id, who.api_key)
        if fields is None:
            raise InvalidApiKey
        await self._complete(who.tenant_id, who.user_id, parse(fields), revoke)

    async def finish(
        self, tenant_id: str, user_id: str, identity: str = "", revoke: Revoke | None = None
    ) -> None:
        """Ends a user whose deletion has begun, or begins it. `identity`: of a login that met it,
        and may have claimed it for that user a moment before."""
        fields = await self._close(tenant_id, user_id, "")
        if fields is not None:
            await self._complete(tenant_id, user_id, parse(fields), revoke)
        if identity:
            await self.release(tenant_id, identity, user_id)

    async def _close(self, tenant_id: str, user_id: str, api_key: str) -> list[Any] | None:
        """The fields of the account; None where there is none to close."""
        status, values = await self._store.run(
            "close", keys.of_login(user_id), tenant_id, api_key, self._ledger_size
        )
        fields: list[Any] | None = values[0] if status is Status.OK else None
        return fields

    async def _complete(
        self, tenant_id: str, user_id: str, account: Account, revoke: Revoke | None
    ) -> None:
        for identity in account.identities:
            await self.release(tenant_id, identity, user_id, has_trialed=account.has_trialed)
        if revoke is not None:
            known = account.known
            await revoke(known.get("appleClientId", ""), known.get("appleToken", ""))
        await self._records.remove(account.ended, user_id)
        await self._store.run("bury", keys.of_user(user_id), tenant_id)

    async def release(
        self,
        tenant_id: str,
        identity: str,
        user_id: str,
        claimed_at: int = 0,
        has_trialed: bool = False,
    ) -> None:
        """Makes the identity nobody's, if it is this user's, by that claim or, for 0, by any."""
        key = keys.identity(tenant_id, identity)
        await self._store.run("release", [key], user_id, claimed_at, int(has_trialed))
