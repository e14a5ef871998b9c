"""Client secrets: what a page gets instead of an API key, to open sessions of voice with.

A secret opens any number of them while it lives, and nothing else: there is no record
`apiKey:<secret>`, so every other route answers 401. It spends what its maker has, and dies with the
maker's API key, which each hold of a session asks for.
"""

import hashlib
import re
from secrets import token_urlsafe
from typing import Any, NamedTuple

import orjson

from server.errors import InvalidApiKey, Unreadable, Unsupported
from server.identity.errors import TooManyClientSecrets
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.structure import is_too_deep
from server.who import RestrictedKey, Who

PREFIX = "ek_"
"""OpenAI's clients refuse others in pages."""
SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_DIGEST_DIGITS = 16
_NO_LIMITS = b"null"
TOO_LARGE = "an anonymous user's session config can only be smaller"


class Secret(NamedTuple):
    """A new one."""

    value: str
    expires_at_ms: int


class ClientSecret(NamedTuple):
    """What a secret opens: sessions of this user, configured like this to begin with. Of one that a
    restricted key has made, `api_key` is that key as scripts know it."""

    tenant_id: str
    user_id: str
    api_key: str
    restricted: RestrictedKey | None
    session: dict[str, Any]

    @property
    def who(self) -> Who:
        return Who(self.tenant_id, self.user_id, self.api_key, self.restricted)


class ClientSecrets:
    """Of the users in `store`. Every call raises Unavailable and Unreadable."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        self._store = store
        self._ledger_size = ledger_size

    async def make(self, who: Who, session: dict[str, Any], ttl_ms: int) -> Secret:
        """Raises InvalidApiKey, TooManyClientSecrets, and Unsupported where the session is too
        large for an anonymous user."""
        value = f"{PREFIX}{token_urlsafe(32)}"
        stored, limits = orjson.dumps(session), orjson.dumps(_limits_of(who.restricted))
        status, values = await self._store.run(
            "add_secret",
            keys.of_secrets(who.user_id),
            who.tenant_id,
            who.credential,
            hashlib.sha256(value.encode()).hexdigest()[:_DIGEST_DIGITS],
            ttl_ms,
            len(stored) + len(limits) - len(_NO_LIMITS),
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        if status is Status.TOO_LARGE:
            raise Unsupported("session", TOO_LARGE)
        if status is Status.TOO_MANY_KEYS:
            raise TooManyClientSecrets(values[0])
        record = {
            "tenantId": who.tenant_id,
            "userId": who.user_id,
            "apiKey": who.credential,
            "limits": orjson.Fragment(limits),
            "session": orjson.Fragment(stored),
        }
        await self._store.keep(keys.client_secret(value), orjson.dumps(record), ttl_ms)
        return Secret(value, values[0])

    async def find(self, secret: str) -> ClientSecret | None:
        """What it opens, if it is one that has not expired. Whether its key still is, and is of the
        tenant that it is used at, the scripts find."""
        if not SECRET.fullmatch(secret):
            return None
        text = await self._store.get(keys.client_secret(secret))
        return None if text is None else _read(text)


def _limits_of(restricted: RestrictedKey | None) -> dict[str, Any] | None:
    if restricted is None:
        return None
    named = {"models": restricted.models, "origins": restricted.origins}
    return {name: sorted(some) for name, some in named.items() if some is not None}


def _read(text: bytes) -> ClientSecret:
    """Raises Unreadable."""
    try:
        record = orjson.loads(text)
        api_key, limits = record["apiKey"], record["limits"]
        restricted = None
        if limits is not None:
            sets = {name: frozenset(some) for name, some in limits.items()}
            digest = api_key.removeprefix("rk:")
            restricted = RestrictedKey(digest, sets.get("models"), sets.get("origins"))
        tenant_id, user_id, session = record["tenantId"], record["userId"], record["session"]
        texts = (tenant_id, user_id, api_key, session.get("model", ""))
        if is_too_deep(session) or not all(isinstance(text, str) for text in texts):
            raise ValueError
        return ClientSecret(tenant_id, user_id, api_key, restricted, session)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Unreadable("a client secret") from None
