"""What the audit holds against accounts: each identity is its user's alone, and no key that has
ended has left its record."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson

from server.store import keys
from server.store.store import Store


async def faults_of_account(
    store: Store, user_id: str, user: dict[str, Any], values: list[bytes], expiry: list[int]
) -> AsyncIterator[str]:
    """`values`: fields of the hash, each before its value. Raises what Python raises when values
    are not as ours, and Unreadable."""
    fields = {values[i].decode(): values[i + 1] for i in range(0, len(values), 2)}
    if user.get("closing"):
        return  # some of it has gone
    if fields and expiry:
        yield "the account expires"
    identities = [name.partition(":")[2] for name in fields if name.startswith("identity:")]
    indexed = (_owner(store, user["tenantId"], identity) for identity in identities)
    for number, owner in enumerate(await asyncio.gather(*indexed), 1):
        # Two users that list one identity cannot both be named by it. Of a person it says no more.
        if owner != user_id:
            yield f"identity {number} is not its own"
    ended = [
        keys.api_key(name.partition(":")[2])
        for name, since_ms in fields.items()
        if name.startswith("ended:") and int(since_ms) <= 1000 * time.time()
    ]
    left = await asyncio.gather(*(store.get_bulk(key) for key in ended))
    if count := sum(record is not None for record in left):
        yield f"{count} API keys that have ended have records"


def keys_under_way(values: list[bytes]) -> set[str]:
    """API keys that logins have listed whose records are still to be made permanent: they may have
    died, and then nobody was told of the keys."""
    names = (name.decode() for name in values[::2])
    return {name.partition(":")[2] for name in names if name.startswith("new:")}


async def _owner(store: Store, tenant_id: str, identity: str) -> Any:
    text = await store.get_bulk(keys.identity(tenant_id, identity))
    return orjson.loads(text)["userId"] if text is not None else None
