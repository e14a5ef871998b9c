"""Responses that providers keep: of each, who made it and where, as its provider does not know.

What was said in them is at the provider alone.
"""

import re
from dataclasses import dataclass

import orjson

from server.errors import Unreadable
from server.metering.errors import NoResponse
from server.store import keys
from server.store.store import Store
from server.who import Who

KEPT_MS = 7 * 24 * 60 * 60 * 1000
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""As it may stand in a path. Others are not kept, so nobody can ask for them."""


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """`tokens` are those of its input and output, which the next one has in its prompt; `key_id` is
    that of the restricted key that made it, '' if it was the user's own."""

    endpoint: str
    tokens: int
    key_id: str


class KeptResponses:
    """Those of all users; every call raises Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, who: Who, response_id: str, endpoint: str, tokens: int) -> None:
        if not _ID.fullmatch(response_id):
            return
        kept = orjson.dumps(KeptResponse(endpoint, tokens, who.key_id))
        await self._store.keep(keys.kept_response(who.user_id, response_id), kept, KEPT_MS)

    async def find(self, who: Who, response_id: str, param: str | None = None) -> KeptResponse:
        """A restricted key finds those that it has made. Raises NoResponse, Unreadable."""
        text = await self._store.get(keys.kept_response(who.user_id, response_id))
        if text is None:
            raise NoResponse(response_id, param)
        try:
            kept = KeptResponse(**orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError):
            raise Unreadable("a kept response is not one") from None
        if who.restricted is not None and kept.key_id != who.key_id:
            raise NoResponse(response_id, param)
        return kept

    async def forget(self, who: Who, response_id: str) -> None:
        await self._store.delete(keys.kept_response(who.user_id, response_id))
