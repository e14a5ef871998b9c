"""Identification: a user gets an identity and an API key, and its keys stay or go."""

from typing import NamedTuple

import orjson

from server.errors import Unavailable, Unreadable
from server.identity.login_request import LoginRequest
from server.identity.records import Records
from server.store import keys
from server.store.status import Status
from server.store.store import Store

_MOST_TRIES = 5


class Claim(NamedTuple):
    """Whose an identity is; `again`: it has had its free tokens; `trialed`: and a trial of a plan;
    `is_new`: it was nobody's; `at_ms`: later than of any claim of it before."""

    user_id: str
    again: bool
    trialed: bool
    is_new: bool
    at_ms: int


class UserClosing(Exception):
    """The identity is of a user who is being deleted, or was."""


class Unlinked(Exception):
    """The identity was taken from the user after the claim."""


class Identified(NamedTuple):
    """What the user has now; `is_linked`: the identity is new to it."""

    api_key: str
    group: str
    tokens_left: int
    rate_limit: int
    rate_limit_window: int
    is_created: bool
    is_linked: bool


class Identification:
    """Of the users in `store`; raises Unavailable and Unreadable."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        self._store = store
        self._records = Records(store)
        self._ledger_size = ledger_size

    async def with_bearer(self, login: LoginRequest, claim: Claim) -> Identified | None:
        """With the API key that it came with; None if the user has lost that. Raises
        UserClosing and Unlinked."""
        return await self._identify(login, claim, login.bearer, is_new=False)

    async def with_new_key(self, login: LoginRequest, claim: Claim) -> Identified:
        """Raises UserClosing and Unlinked."""
        api_key = await self._records.make(claim.user_id)
        done = await self._identify(login, claim, api_key, is_new=True)
        if done is None:
            raise Unreadable("a new API key is not known")
        return done

    async def _identify(
        self, login: LoginRequest, claim: Claim, api_key: str, is_new: bool
    ) -> Identified | None:
        confirmed: list[str] = []
        for _ in range(_MOST_TRIES):
            status, values = await self._store.run(
                "identify",
                keys.of_login(claim.user_id),
                *(login.tenant_id, login.identity_name),
                *(login.group_name, login.group.tokens),
                *(login.group.rate_limit, login.group.rate_limit_window),
                *(int(claim.again), int(claim.trialed)),
                *(api_key, int(is_new), int(login.new_key)),
                *(orjson.dumps(confirmed), orjson.dumps(login.known())),
                *(self._ledger_size, orjson.dumps(login.ref), claim.at_ms),
            )
            if status is Status.CLOSING:
                raise UserClosing
            if status is Status.MISMATCH:
                raise Unlinked
            if status is Status.UNKNOWN_KEY:
                return None
            if status is Status.OK:
                *_, api_keys, ended = values
                kept = await self._keep(login, claim, _texts(api_keys))
                await self._records.are_kept(kept, claim.user_id)
                await self._records.remove(_texts(ended), claim.user_id)
                return _identified(api_key, *values[:6])
            confirmed += await self._keep(login, claim, _texts(values[0]))
        raise Unavailable("a user got ever more keys")

    async def _keep(self, login: LoginRequest, claim: Claim, api_keys: list[str]) -> list[str]:
        """Makes the records of these keys permanent; which they are. A key without a record is
        nobody's: it was made for a login that died."""
        lost = await self._records.keep(api_keys, claim.user_id)
        for api_key in lost:
            await self._store.run(
                "revoke",
                (keys.user(claim.user_id), keys.ledger(claim.user_id)),
                *(login.tenant_id, api_key, self._ledger_size),
            )
        return [api_key for api_key in api_keys if api_key not in lost]


def _texts(api_keys: list[bytes]) -> list[str]:
    return [api_key.decode(errors="replace") for api_key in api_keys]


def _identified(
    api_key: str,
    group: bytes,
    tokens_left: int,
    rate_limit: int,
    rate_limit_window: int,
    is_created: int,
    is_linked: int,
) -> Identified:
    limits = rate_limit, rate_limit_window
    return Identified(
        api_key, group.decode(), tokens_left, *limits, bool(is_created), bool(is_linked)
    )
