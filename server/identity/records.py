"""Records: `apiKey:<key>`, which lead from an API key to its user.

A key is listed by its user only while it has a record, so that the record is made first and removed
last; each lies in a slot of its own. One that is made for a login under way expires, until the user
lists it; that it is still to be made permanent, the user's account says.
"""

import asyncio
from collections.abc import Sequence
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

    async def keep(self, api_keys: Sequence[str], user_id: str) -> list[str]:
        """Lets them stay; those that have no record any more, which are nobody's keys."""
        found = await asyncio.gather(
            *(self._store.replace(keys.api_key(key), user_id) for key in api_keys)
        )
        return [key for key, reply in zip(api_keys, found, strict=True) if reply is None]

    async def are_kept(self, api_keys: Sequence[str], user_id: str) -> None:
        """The account need not say of these any more that they are to be."""
        new = (f"new:{api_key}" for api_key in api_keys)
        await self._store.delete_fields(keys.account(user_id), *new)

    async def make_permanent(self, api_key: str) -> None:
        """Of a key that no user lists yet."""
        await self._store.persist(keys.api_key(api_key))

    async def end(self, api_key: str, user_id: str, expires_at_ms: int) -> None:
        await self._store.replace(keys.api_key(api_key), user_id, expires_at_ms)

    async def remove(self, api_keys: Sequence[str], user_id: str) -> None:
        """Of keys that the user lists no more."""
        if api_keys:
            await asyncio.gather(*(self._store.delete(keys.api_key(key)) for key in api_keys))
            ended = (f"ended:{api_key}" for api_key in api_keys)
            await self._store.delete_fields(keys.account(user_id), *ended)
