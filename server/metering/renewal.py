"""Renewal: anonymous users live as long as they are used."""

import asyncio
import logging
from time import time

import orjson

from server.errors import ServiceUnavailable
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.who import Who

log = logging.getLogger(__name__)


class Renewal:
    """Of the users in `store`, for one worker.

    Scripts that spend tell now and then when the user expires. To move that on takes other slots of
    Redis than the user's, and nobody need wait for it.
    """

    def __init__(self, store: Store, ledger_size: int, ttl_ms: int) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept; `ttl_ms`: from a renewal
        until the user expires."""
        self._store = store
        self._ledger_size = ledger_size
        self._ttl_ms = ttl_ms
        # Not just half of it: where Redis forgets in a fail-over that a key was prolonged, the next
        # renewal still comes before the key expires.
        self._least_ms = ttl_ms * 2 // 3
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def consider(self, who: Who, expires_at_ms: int) -> None:
        """Begins to renew a user that is used, and expires then, below 0 for never, if it is time.
        If that fails, the user's next request begins it again."""
        is_time = 0 <= expires_at_ms < time() * 1000 + self._least_ms
        if is_time and who.user_id not in self._under_way:
            task = asyncio.create_task(self._renew(who.tenant_id, who.user_id))
            self._under_way[who.user_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(who.user_id))

    async def close(self) -> None:
        """What is under way is left undone."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self, tenant_id: str, user_id: str) -> None:
        try:
            await self._move_on(tenant_id, user_id)
        except ServiceUnavailable as error:
            log.debug("A user was not renewed: %s", error.reason)
        except Exception:
            log.exception("Renewing a user failed")

    async def _move_on(self, tenant_id: str, user_id: str) -> None:
        """The keys first: one may outlive its user, but must not expire before it."""
        expires_at_ms, prolonged = 0, list[str]()
        while True:
            status, values = await self._store.run(
                "renew",
                (keys.user(user_id), keys.ledger(user_id)),
                tenant_id,
                self._ttl_ms,
                self._least_ms,
                expires_at_ms,
                orjson.dumps(prolonged),
                self._ledger_size,
            )
            if status is not Status.KEYS_EXPIRE:
                return
            expires_at_ms, api_keys = values
            for api_key in api_keys:
                prolonged.append(api_key.decode())
                await self._store.prolong(keys.api_key(prolonged[-1]), expires_at_ms)
