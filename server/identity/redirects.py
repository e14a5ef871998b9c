"""Redirects: sign-ins whose browser is at a login provider, and those that are back with a code.

What has to be known when it comes back waits in Redis, under names that only the browser has, and
is taken once. No cookie takes part: that the one who exchanges the code is the one who has begun,
the app's own verifier shows (PKCE), which never leaves it before.
"""

import hmac
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from server.errors import Unreadable
from server.identity.errors import InvalidCode, InvalidState
from server.login_providers.identity import ProviderName, VerifiedIdentity
from server.login_providers.pkce import challenge_of
from server.store import keys
from server.store.status import Status
from server.store.store import Store

REDIRECT_MS = 10 * 60_000
"""For which the person may be at the provider."""
CODE_MS = 60_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Redirect:
    """A sign-in at its provider. `redirect_uri`, `app_state` and `code_challenge` are the app's;
    `nonce` and `code_verifier` are ours, for the provider."""

    provider: ProviderName
    redirect_uri: str
    app_state: str
    code_challenge: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Finished:
    challenge: str
    identity: VerifiedIdentity


_REDIRECT, _FINISHED = TypeAdapter(Redirect), TypeAdapter(_Finished)


def begun(
    provider: ProviderName, redirect_uri: str, app_state: str, code_challenge: str
) -> tuple[str, Redirect]:
    """A new one, and the state that the provider is to bring back."""
    secrets = token_urlsafe(), token_urlsafe()
    return token_urlsafe(), Redirect(provider, redirect_uri, app_state, code_challenge, *secrets)


class Redirects:
    """Of all tenants, in `store`. Every call raises Unavailable, and those that take Unreadable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, tenant_id: str, state: str, redirect: Redirect) -> None:
        """Until it is back, or REDIRECT_MS."""
        key = keys.redirect(tenant_id, state)
        await self._store.keep(key, orjson.dumps(redirect), REDIRECT_MS)

    async def take(self, tenant_id: str, provider: ProviderName, state: str) -> Redirect:
        """The one that has this state, which nobody can use again. Raises InvalidState where there
        is none, or it is at another provider."""
        text = await self._take(keys.redirect(tenant_id, state))
        if text is None:
            raise InvalidState
        redirect = _read(text, _REDIRECT)
        if redirect.provider != provider:
            raise InvalidState
        return redirect

    async def finish(self, tenant_id: str, redirect: Redirect, identity: VerifiedIdentity) -> str:
        """The code for who it is."""
        code = token_urlsafe()
        kept = orjson.dumps(_Finished(redirect.code_challenge, identity))
        await self._store.keep(keys.redirect_code(tenant_id, code), kept, CODE_MS)
        return code

    async def exchange(self, tenant_id: str, code: str, code_verifier: str) -> VerifiedIdentity:
        """Who it is. Raises InvalidCode where there is no such code, or the app that exchanges it
        has not begun with it: nobody gets a second try."""
        text = await self._take(keys.redirect_code(tenant_id, code))
        if text is None:
            raise InvalidCode
        finished = _read(text, _FINISHED)
        found = challenge_of(code_verifier).encode()
        if not hmac.compare_digest(found, finished.challenge.encode()):
            raise InvalidCode
        return finished.identity

    async def _take(self, key: str) -> bytes | None:
        status, (kept,) = await self._store.run("take", [key])
        return kept if status is Status.OK else None


def _read(text: bytes, adapter: TypeAdapter[_T]) -> _T:
    """Raises Unreadable, also where a member is of another type."""
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError:
        raise Unreadable("a sign-in by redirect") from None
