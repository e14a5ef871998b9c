"""Users and their API keys: log in, find, revoke."""

import re
from dataclasses import dataclass
from uuid import uuid4

import orjson

from server.errors import InvalidApiKey, NotFound, Unreadable
from server.recent import Recent
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.groups import ANONYMOUS, Group
from server.who import Ref

REMEMBERED_KEYS = 50_000
API_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Login:
    """A new user with its API key, which expires then, unless it is used."""

    user_id: str
    api_key: str
    group: Group
    expires_at_ms: int


class Users:
    """The users in `store`; the keys of new ones expire after `ttl_ms`."""

    def __init__(self, store: Store, ttl_ms: int, ledger_size: int) -> None:
        self._store = store
        self._ledger_size = ledger_size
        self._ttl_ms = ttl_ms
        # A key never changes its user, so this cannot go stale: the scripts ask the user itself
        # whether it still has the key.
        self._user_ids: Recent[str] = Recent(REMEMBERED_KEYS)

    async def login(self, tenant_id: str, group: Group, ref: Ref) -> Login:
        """Makes a key, and then its user, of the group ANONYMOUS."""
        user_id, api_key = str(uuid4()), f"temp_{uuid4()}"
        _, (key_expires_at_ms,) = await self._store.run(
            "issue", [keys.api_key(api_key)], user_id, self._ttl_ms
        )
        _, (expires_at_ms,) = await self._store.run(
            "login",
            [keys.user(user_id), keys.ledger(user_id)],
            tenant_id,
            api_key,
            ANONYMOUS,
            group.tokens,
            group.rate_limit,
            group.rate_limit_window,
            key_expires_at_ms,
            orjson.dumps(ref),
        )
        return Login(user_id, api_key, group, expires_at_ms)

    def known(self, api_key: str) -> str | None:
        """As `find`, if this worker has found it before."""
        return self._user_ids.get(api_key)

    async def find(self, api_key: str) -> str:
        """The ID of the user that has this key or once had it. Raises InvalidApiKey."""
        if user_id := self.known(api_key):
            return user_id
        if not API_KEY.fullmatch(api_key):
            raise InvalidApiKey
        found = await self._store.get(keys.api_key(api_key))
        if found is None:
            raise InvalidApiKey
        try:
            user_id = found.decode()
        except UnicodeDecodeError:
            raise Unreadable("the owner of an API key is not UTF-8") from None
        self._user_ids.put(api_key, user_id)
        return user_id

    async def revoke(self, tenant_id: str, api_key: str) -> str:
        """Removes a key, effective at once; the ID of its user.

        Raises NotFound if no user of the tenant has it, or had it when an earlier attempt failed
        half-way.
        """
        try:
            user_id = await self.find(api_key)
        except InvalidApiKey:
            raise NotFound from None
        status, _ = await self._store.run(
            "revoke",
            [keys.user(user_id), keys.ledger(user_id)],
            tenant_id,
            api_key,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_USER:
            raise NotFound
        was_there = await self._store.delete(keys.api_key(api_key))
        if status is Status.UNKNOWN_KEY and not was_there:
            raise NotFound
        return user_id


def is_user_id(text: str) -> bool:
    return USER_ID.fullmatch(text) is not None
