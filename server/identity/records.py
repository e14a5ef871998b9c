"""Records: `apiKey:<key>`, which lead from an API key to its user.

A key is listed by its user only while it has a record, so that the record is made first and removed
last; each lies in a slot of its own. One that is made for a login under way expires, until the user
lists it.
"""

import asyncio
from collections.abc import Iterable
from uuid import uuid4

from server.store import keys
from server.store.store import Store

_UNDER_WAY_MS = 10 * 60 * 1000


class Records:
    """Of the keys in `store`; raises Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make(self, user_id: str, ttl_ms: int = _UNDER_WAY_MS) -> str:
        """A new key, for a user that is to list it."""
        api_key = f"key_{uuid4()}"
        await self._store.run("issue", [keys.api_key(api_key)], user_id, ttl_ms)
        return api_key

    async def keep(self, api_keys: Iterable[str], user_id: str) -> list[str]:
        """Lets them stay; those that have no record any more, which are nobody's keys."""
        api_keys = list(api_keys)
        were_there = await asyncio.gather(
            *(self._store.replace(keys.api_key(key), user_id) for key in api_keys)
        )
        return [key for key, was_there in zip(api_keys, were_there, strict=True) if not was_there]

    async def end(self, api_key: str, user_id: str, expires_at_ms: int) -> None:
        await self._store.replace(keys.api_key(api_key), user_id, expires_at_ms)

    async def remove(self, api_keys: Iterable[str], user_id: str) -> None:
        """Of keys that the user lists no more."""
        await asyncio.gather(*(self._remove(api_key, user_id) for api_key in api_keys))

    async def _remove(self, api_key: str, user_id: str) -> None:
        await self._store.delete(keys.api_key(api_key))
        await self._store.delete_field(keys.account(user_id), f"ended:{api_key}")
