"""`python -m server purge --closing`: ends the users whose deletion was interrupted."""

import logging

import orjson

from server.errors import Unreadable
from server.identity.deletion import Deletion
from server.store import keys
from server.store.store import Store

log = logging.getLogger(__name__)


async def purge_closing(store: Store, tenant_id: str | None, ledger_size: int) -> int:
    """Of one tenant, or of all; the exit status. May be repeated. Raises Unavailable."""
    await store.start()
    try:
        deletion, ended = Deletion(store, ledger_size), 0
        async for portion in store.scan(keys.ALL_USERS):
            for key in portion:
                owner = await _tenant_of_closing(store, key)
                if owner is not None and tenant_id in (None, owner):
                    await deletion.finish(owner, keys.user_of(key), revoke=_tell_of_apple)
                    ended += 1
        log.info("Ended %d users whose deletion was interrupted", ended)
        return 0
    finally:
        await store.close()


async def _tenant_of_closing(store: Store, user_key: str) -> str | None:
    """None if it is not a user that is being deleted."""
    try:
        user = orjson.loads(await store.get_bulk(user_key) or b"{}")
        tenant_id = user["tenantId"] if user.get("closing") else None
    except (Unreadable, ValueError, LookupError, AttributeError):
        return None
    return tenant_id if isinstance(tenant_id, str) else None


async def _tell_of_apple(client_id: str, refresh_token: str) -> None:
    if refresh_token:
        log.warning("Apple was not told of a user that was deleted, who signed in to %s", client_id)
