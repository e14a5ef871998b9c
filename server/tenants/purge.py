"""`python -m server purge --tenant T`: removes what a deleted tenant left in Redis."""

import asyncio
import logging
from typing import Any

import orjson

from server.store import keys
from server.store.store import Store
from server.tenants.tenants import Tenants, is_tenant_id

log = logging.getLogger(__name__)


async def purge(store: Store, tenant_id: str) -> int:
    """Removes the users, keys and login counters of a tenant that has no config; the exit status.

    May be repeated: whatever it had not removed when it was stopped, the next run finds. Raises
    Unavailable.
    """
    if not is_tenant_id(tenant_id):
        # It becomes part of a pattern, where * would be the login counters of every tenant.
        log.error("%r is not a tenant ID", tenant_id)
        return 1
    await store.start()
    try:
        if await Tenants(store).exists(tenant_id):
            log.error("Tenant %s exists: delete it first", tenant_id)
            return 1
        users = 0
        async for portion in store.scan(keys.ALL_USERS, "string"):
            texts = await asyncio.gather(*(store.get_bulk(key) for key in portion))
            for key, text in zip(portion, texts, strict=True):
                user = _parse(text)
                if user.get("tenantId") == tenant_id:
                    # The user last: while it exists, a next run finds its keys.
                    for api_key in user.get("apiKeys", ()):
                        await store.delete(keys.api_key(api_key))
                    for of_user in reversed(keys.of_user(keys.user_of(key))):
                        await store.delete(of_user)
                    users += 1
        for pattern in keys.all_logins(tenant_id):
            async for portion in store.scan(pattern, "list"):
                for key in portion:
                    await store.delete(key)
        log.info("Removed %d users of tenant %s", users, tenant_id)
        return 0
    finally:
        await store.close()


def _parse(text: bytes | None) -> dict[str, Any]:
    """The user; empty if it has expired meanwhile, or if the key is not one of ours."""
    try:
        user = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return user if isinstance(user, dict) else {}
