"""`python -m server purge --tenant T`: removes what a deleted tenant left in Redis."""

import asyncio
import logging
from typing import Any

import orjson

from server.errors import Unreadable
from server.store import keys
from server.store.store import Store
from server.tenants.tenants import is_tenant_id

log = logging.getLogger(__name__)


async def purge(store: Store, tenant_id: str) -> int:
    """Removes what is left of a tenant that has no config; the exit status.

    May be repeated: whatever it had not removed when it was stopped, the next run finds. Raises
    Unavailable.
    """
    if not is_tenant_id(tenant_id):
        # It becomes part of a pattern, where * would be the login counters of every tenant.
        log.error("%r is not a tenant ID", tenant_id)
        return 1
    await store.start()
    try:
        if await _read(store, keys.config(tenant_id)) is not None:
            log.error("Tenant %s exists: delete it first", tenant_id)
            return 1
        # The keys before their users, by which a next run finds them.
        await _purge_api_keys(store, tenant_id)
        users = await _purge_users(store, tenant_id)
        for pattern in (*keys.all_logins(tenant_id), keys.all_identities(tenant_id)):
            async for portion in store.scan(pattern):
                for key in portion:
                    await store.delete(key)
        for call in await store.members(keys.TIMED_WORK):
            if call.startswith(f"{tenant_id} "):
                await store.run("schedule", [keys.TIMED_WORK], call, 0, "never")
        for name in keys.LIMITS:
            await store.delete(keys.limit(tenant_id, name))
        log.info("Removed %d users of tenant %s", users, tenant_id)
        return 0
    finally:
        await store.close()


async def _purge_api_keys(store: Store, tenant_id: str) -> None:
    """Removes those whose user is the tenant's, and those that nobody's user has and that would
    stay for ever. One that expires may belong to a login of another tenant, under way."""
    async for portion in store.scan(keys.ALL_API_KEYS):
        owners = await asyncio.gather(*(_read(store, key) for key in portion))
        users = await asyncio.gather(*(_read_user(store, owner) for owner in owners if owner))
        owned = [key for key, owner in zip(portion, owners, strict=True) if owner]
        for key, user in zip(owned, users, strict=True):
            if user is None:
                is_left = await store.expires_at_ms(key) is None
            else:
                is_left = user.get("tenantId") == tenant_id
            if is_left:
                await store.delete(key)


async def _purge_users(store: Store, tenant_id: str) -> int:
    users = 0
    async for portion in store.scan(keys.ALL_USERS):
        ids = [keys.user_of(key) for key in portion]
        found = await asyncio.gather(*(_read_user(store, user_id.encode()) for user_id in ids))
        for user_id, user in zip(ids, found, strict=True):
            if user and user.get("tenantId") == tenant_id:
                for key in reversed(keys.of_user(user_id)):
                    await store.delete(key)
                users += 1
    return users


async def _read(store: Store, key: str) -> bytes | None:
    """None if there is no such key; empty if it is of another type."""
    try:
        return await store.get_bulk(key)
    except Unreadable:
        return b""


async def _read_user(store: Store, user_id: bytes) -> dict[str, Any] | None:
    """None if there is no such user; empty if it is not one of ours, or broken."""
    text = await _read(store, keys.user(user_id.decode(errors="replace")))
    if text is None:
        return None
    try:
        user = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return user if isinstance(user, dict) else {}
