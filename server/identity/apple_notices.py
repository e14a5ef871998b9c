"""What becomes of users when Apple tells of their accounts there."""

import orjson

from server.errors import Unreadable
from server.identity.account import see
from server.identity.deletion import Deletion
from server.identity.sessions import Sessions
from server.login_providers.apple_events import AppleEvent
from server.store import keys
from server.store.status import Status
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
        user_id, claimed_at = await self._claim(tenant_id, identity)
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
            # Taken away before it is nobody's, since who has it then may be another. Who pays for a
            # plan has its keys still, and can end what it pays for.
            status, _ = await self._store.run(
                "unlink", [keys.account(user_id)], identity, claimed_at, event.at_ms
            )
            if status is Status.OK:
                has_trialed = account.has_trialed
                await self._deletion.release(tenant_id, identity, user_id, claimed_at, has_trialed)

    async def _claim(self, tenant_id: str, identity: str) -> tuple[str, int]:
        """Whose it is, '' for nobody, and by which claim."""
        text = await self._store.get_bulk(keys.identity(tenant_id, identity))
        if text is None:
            return "", 0
        try:
            claim = orjson.loads(text)
            return str(claim["userId"]), int(claim["at"])
        except (ValueError, LookupError, TypeError):
            raise Unreadable("an identity") from None
