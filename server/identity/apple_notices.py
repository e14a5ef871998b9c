"""What becomes of users when Apple tells of their accounts there."""

import orjson

from server.errors import Unreadable
from server.identity.account import see, take_identity_from
from server.identity.deletion import Deletion
from server.identity.sessions import Sessions
from server.login_providers.apple_events import AppleEvent
from server.store import keys
from server.store.store import Store


class AppleNotices:
    """Of the users in `store`; raises Unavailable and Unreadable."""

    def __init__(
        self, store: Store, sessions: Sessions, deletion: Deletion, ledger_size: int
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._deletion = deletion
        self._ledger_size = ledger_size

    async def heed(self, tenant_id: str, event: AppleEvent) -> None:
        """What is older than the identity's last login changes nothing: it may be a replay."""
        identity = keys.hashed_identity("apple", event.subject)
        user_id = await self._owner(tenant_id, identity)
        # Empty where there is no such user, or it is being deleted.
        account = (await see(self._store, tenant_id, user_id, "", self._ledger_size)).account
        linked = account.identities.get(identity)
        if linked is None or event.at_ms <= linked.last_login_ms:
            return
        goes = len(account.identities) == 1 and not account.is_subscribed()
        if event.kind == "consent-revoked":
            # Who signs in again is asked by Apple, and is this user still.
            await self._sessions.end_all(tenant_id, user_id)
        elif event.kind == "account-deleted" and goes:
            await self._deletion.finish(tenant_id, user_id)
        elif event.kind == "account-deleted":
            # Who pays for a plan has its keys still, and can end what it pays for.
            await self._unlink(tenant_id, identity, user_id, account.has_trialed)

    async def _unlink(self, tenant_id: str, identity: str, user_id: str, has_trialed: bool) -> None:
        """Takes it away before it is nobody's, since who then has it may be another; and after
        that, since a login that had found it the user's may have given it back."""
        await take_identity_from(self._store, user_id, identity)
        await self._deletion.release(tenant_id, identity, user_id, has_trialed)
        await take_identity_from(self._store, user_id, identity)

    async def _owner(self, tenant_id: str, identity: str) -> str:
        """'' for nobody."""
        text = await self._store.get_bulk(keys.identity(tenant_id, identity))
        try:
            return str(orjson.loads(text)["userId"]) if text is not None else ""
        except (ValueError, LookupError, TypeError):
            raise Unreadable("an identity") from None
