"""Ladder: from an anonymous user to an account that any device signs in to.

A login of an identity is a few steps, each atomic in a slot of its own, and each done again without
harm; whatever a login that died has left, the next one of that identity finishes:

    account   of the API key that it came with: whose is it, and has that user an identity?
    claim     the identity is somebody's from now on, of that user or of one who is to be made
    issue     the record of a key to answer with, unless that is the one it came with
    identify  the user has the identity and the key, and is made, or moved to the login's group;
              but not by a claim that ended meanwhile, since the identity was taken from the user
    keep      the records of the user's keys stay, and those of keys that have ended go

`tests/identity/ladder_model.py` tries them in every order, with deaths between.
"""

from typing import NamedTuple
from uuid import uuid4

from server.errors import InvalidApiKey, Unavailable, Unreadable
from server.identity.account import see
from server.identity.deletion import Deletion
from server.identity.errors import IdentityTaken, RecentLoginRequired
from server.identity.identification import (
    Claim,
    Identification,
    Identified,
    Unlinked,
    UserClosing,
)
from server.identity.login_request import LoginRequest, LoginResult
from server.identity.restricted import is_restricted
from server.identity.users import Users
from server.store import keys
from server.store.status import Status
from server.store.store import Store

_MOST_TRIES = 5


class _Bearer(NamedTuple):
    """The user of the API key that a login came with; `is_recent`: a login had to do with that key
    within the last hour; `is_known`: the user has this identity."""

    user_id: str
    is_anonymous: bool
    is_recent: bool
    is_known: bool


class Ladder:
    """Logins of identities; raises Unavailable and Unreadable."""

    def __init__(self, store: Store, users: Users, deletion: Deletion, ledger_size: int) -> None:
        self._store = store
        self._users = users
        self._deletion = deletion
        self._identification = Identification(store, ledger_size)
        self._ledger_size = ledger_size

    async def login(self, login: LoginRequest) -> LoginResult:
        """Raises IdentityTaken, InvalidApiKey and RecentLoginRequired, all of `link` alone."""
        bearer = await self._bearer_of(login)
        for _ in range(_MOST_TRIES):
            claim = await self._claim(login, _candidate(login, bearer))
            is_own = bearer is not None and bearer.user_id == claim.user_id
            try:
                if login.link and not is_own:
                    await self._refuse_link(login, claim)
                done = await self._identify(login, claim, is_own)
            except UserClosing:
                await self._deletion.finish(
                    login.tenant_id, claim.user_id, login.identity_name, login.revoke
                )
            except Unlinked:
                await self._deletion.release(
                    login.tenant_id, login.identity_name, claim.user_id, claim.at_ms
                )
            else:
                return _result(claim, done, bearer)
            bearer = await self._bearer_of(login)
        raise Unavailable("the claims of a login ended, again and again")

    async def _bearer_of(self, login: LoginRequest) -> _Bearer | None:
        """None where the key is none that works: an expired one must not bar a login."""
        bearer = None
        if login.bearer and not is_restricted(login.bearer):
            bearer = await self._find(login)
        if not login.link:
            return bearer
        if bearer is None:
            raise InvalidApiKey
        if not (bearer.is_anonymous or bearer.is_known or bearer.is_recent):
            raise RecentLoginRequired
        return bearer

    async def _find(self, login: LoginRequest) -> _Bearer | None:
        try:
            user_id = await self._users.find(login.bearer)
        except InvalidApiKey:
            return None
        seen = await see(self._store, login.tenant_id, user_id, login.bearer, self._ledger_size)
        if seen.status is not Status.OK:
            return None
        return _Bearer(
            user_id,
            is_anonymous=not seen.account.identities,
            is_recent=seen.account.is_recent(login.bearer, seen.now_ms),
            is_known=login.identity_name in seen.account.identities,
        )

    async def _claim(self, login: LoginRequest, candidate: str) -> Claim:
        status, (user_id, again, trialed, at_ms) = await self._store.run(
            "claim", [keys.identity(login.tenant_id, login.identity_name)], candidate
        )
        try:
            flags = bool(again), bool(trialed), status is Status.OK
            return Claim(user_id.decode(), *flags, at_ms)
        except UnicodeDecodeError:
            raise Unreadable("the user of an identity is not UTF-8") from None

    async def _refuse_link(self, login: LoginRequest, claim: Claim) -> None:
        """Raises IdentityTaken, or UserClosing where it is nobody's soon."""
        seen = await see(self._store, login.tenant_id, claim.user_id, "", self._ledger_size)
        if seen.status is Status.CLOSING:
            raise UserClosing
        raise IdentityTaken

    async def _identify(self, login: LoginRequest, claim: Claim, is_own: bool) -> Identified:
        """Raises UserClosing and Unlinked."""
        done = None
        if is_own and not login.new_key:
            done = await self._identification.with_bearer(login, claim)
        if done is None:  # or the key was revoked meanwhile
            done = await self._identification.with_new_key(login, claim)
        return done


def _candidate(login: LoginRequest, bearer: _Bearer | None) -> str:
    """Whose an identity becomes that is nobody's. Not an identified user's, unless that is wanted:
    a sibling's account would open it."""
    if bearer is not None and (login.link or bearer.is_anonymous):
        return bearer.user_id
    return str(uuid4())


def _result(claim: Claim, done: Identified, bearer: _Bearer | None) -> LoginResult:
    is_own = bearer is not None and bearer.user_id == claim.user_id
    previous = bearer.user_id if bearer is not None and bearer.is_anonymous else None
    return LoginResult(
        done.api_key,
        claim.user_id,
        *(done.group, done.tokens_left, done.rate_limit, done.rate_limit_window),
        is_created=done.is_created,
        is_linked=is_own and (claim.is_new or done.is_linked) and not done.is_created,
        previous_user_id=None if is_own else previous,
    )
