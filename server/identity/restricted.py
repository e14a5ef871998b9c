"""Restricted keys: of a user, for a page, a share link, an agent, that may spend less than it.

Such a key has its user's ID in it, and no record `apiKey:<key>`: to a server that knows nothing of
them it is nobody's key, and answered 401.
"""

import hashlib
import re
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, NamedTuple, TypedDict

import orjson

from server.errors import Detail, Invalid, InvalidApiKey, NotFound, Unreadable
from server.identity.errors import TooManyKeys
from server.providers.ask import PROMPT
from server.recent import Recent
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.who import KEY_ID_DIGITS, RestrictedKey, Who

REMEMBERED_BYTES = 1_000_000
"""About: keys that were used last, some 800 bytes each, and what they are for."""
KEY_ID = re.compile(rf"[0-9a-f]{{{KEY_ID_DIGITS}}}")
_RESTRICTED = re.compile(r"rk_([A-Za-z0-9_-]{1,44})_[0-9a-f]{32}")
_DIGEST_DIGITS = 32
TOO_LONG = "an anonymous user's restricted key can only be for less"


class Limits(TypedDict, total=False):
    """What a key is for beside its tokens and its time. What is absent is not limited, but `models`
    and `prompts` are one list: where there is one of them, the other is empty."""

    models: list[str]
    prompts: list[str]
    origins: list[str]


class NewKey(NamedTuple):
    api_key: str
    key_id: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A restricted key as its user sees it; `limits` as they were given."""

    key_id: str
    tokens: int
    tokens_left: int
    tokens_held: int
    tokens_used: int
    created_at_ms: int
    expires_at_ms: int
    limits: Limits


class RestrictedKeys:
    """Of the users in `store`. Every call raises Unavailable and Unreadable."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        self._store = store
        self._ledger_size = ledger_size
        # What a key is for never changes, so this cannot go stale: the scripts ask whether there
        # still is such a key.
        self._found: Recent[tuple[str, RestrictedKey]] = Recent(REMEMBERED_BYTES, _weight)

    async def find(self, api_key: str) -> tuple[str, RestrictedKey]:
        """The ID of its user, and what it is for. Raises InvalidApiKey."""
        found = self._found.get(api_key)
        if found is not None:
            return found
        user_id, digest = _read(api_key)
        text = await self._store.field(keys.restricted(user_id), digest[:KEY_ID_DIGITS])
        if text is None:
            raise InvalidApiKey
        found = user_id, RestrictedKey(digest, *_sets_of(_parse(text)["limits"]))
        self._found.put(api_key, found)
        return found

    async def add(self, who: Who, tokens: int, ttl_ms: int, limits: Limits) -> NewKey:
        """A key that dies with the one that it is made with. Raises InvalidApiKey, Invalid where
        `limits` are too long for an anonymous user, TooManyKeys."""
        api_key = f"rk_{who.user_id}_{token_hex(16)}"
        _, digest = _read(api_key)
        status, values = await self._store.run(
            "add_key",
            keys.of_keys(who.user_id),
            who.tenant_id,
            who.api_key,
            digest,
            tokens,
            ttl_ms,
            orjson.dumps(limits),
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        if status is Status.TOO_MANY_KEYS:
            raise TooManyKeys(values[0])
        if status is Status.TOO_LARGE:
            raise Invalid("Invalid request", [Detail(path="", message=TOO_LONG)])
        return NewKey(api_key, digest[:KEY_ID_DIGITS], values[0])

    async def list(self, who: Who) -> list[Listed]:
        """Those that are alive, the oldest first. Raises InvalidApiKey."""
        status, values = await self._store.run_bulk(
            "list_keys",
            keys.of_keys(who.user_id),
            who.tenant_id,
            who.api_key,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        listed = [_listed(*key) for key in values[0]]
        return sorted(listed, key=lambda key: (key.created_at_ms, key.key_id))

    async def remove(self, who: Who, key: str) -> None:
        """`key`: its ID, or itself. Effective at once. Raises InvalidApiKey, NotFound."""
        key_id = key if KEY_ID.fullmatch(key) else _id_of(key, who.user_id)
        status = await self._remove(who.tenant_id, who.user_id, who.api_key, key_id)
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey

    async def revoke(self, tenant_id: str, api_key: str) -> str:
        """As an administrator; the ID of its user. Raises NotFound."""
        try:
            user_id, digest = _read(api_key)
        except InvalidApiKey:
            raise NotFound from None
        status = await self._remove(tenant_id, user_id, "", digest[:KEY_ID_DIGITS])
        if status is Status.UNKNOWN_KEY:
            raise NotFound
        return user_id

    async def _remove(self, tenant_id: str, user_id: str, api_key: str, key_id: str) -> Status:
        """Raises NotFound if the user has no such restricted key."""
        status, _ = await self._store.run(
            "remove_key", keys.of_keys(user_id), tenant_id, api_key, key_id, self._ledger_size
        )
        if status is Status.ABSENT:
            raise NotFound
        return status


def is_restricted(api_key: str) -> bool:
    """Whether it can only be a restricted key: as the bearer of a login it counts as none."""
    return api_key.startswith("rk_") and _RESTRICTED.fullmatch(api_key) is not None


def _read(api_key: str) -> tuple[str, str]:
    """The user's ID and the digest. Raises InvalidApiKey."""
    found = _RESTRICTED.fullmatch(api_key)
    if found is None:
        raise InvalidApiKey
    return found[1], hashlib.sha256(api_key.encode()).hexdigest()[:_DIGEST_DIGITS]


def _id_of(api_key: str, user_id: str) -> str:
    """Raises NotFound unless it is one of this user."""
    try:
        owner, digest = _read(api_key)
    except InvalidApiKey:
        raise NotFound from None
    if owner != user_id:
        raise NotFound
    return digest[:KEY_ID_DIGITS]


def _sets_of(limits: Limits) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """What may be asked for, and the origins."""
    models = None
    if "models" in limits or "prompts" in limits:
        prompts = (PROMPT + name for name in limits.get("prompts", ()))
        models = frozenset([*limits.get("models", ()), *prompts])
    return models, frozenset(limits["origins"]) if "origins" in limits else None


def _weight(found: tuple[str, RestrictedKey]) -> int:
    _, key = found
    names = [*(key.models or ()), *(key.origins or ())]
    return 800 + sum(100 + len(name) for name in names)


def _parse(text: bytes) -> Any:
    """Raises Unreadable."""
    try:
        key = orjson.loads(text)
        lists = [key["limits"].get(name, []) for name in Limits.__annotations__]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Unreadable("a restricted key") from None
    for one in lists:
        if not isinstance(one, list) or not all(isinstance(name, str) for name in one):
            raise Unreadable("what a restricted key is for")
    return key


def _listed(key_id: bytes, text: bytes, spent: int, held: int) -> Listed:
    """The script has checked the amounts."""
    key = _parse(text)
    tokens = key["tokens"]
    left = max(tokens - spent - held, 0)
    times = key["createdAt"], key["expiresAt"]
    return Listed(key_id.decode(), tokens, left, held, spent, *times, key["limits"])
