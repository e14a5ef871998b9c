"""How many logins there may be, of one client, of the networks around it, and of a tenant."""

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from server.errors import TooManyRequests
from server.identity.errors import ChallengeFailed
from server.store import keys
from server.store.status import Status
from server.store.store import Store

# How much more a network may take than a client, by the bits of its prefix: who has one of these
# has up to 65,536 of a client's, and they cost nothing. Behind one IPv4 address there can be many
# users, and nobody gets a network of them for nothing, so that these have no limit in common.
_NETWORKS = {56: 4, 48: 10}
_MOST_WINDOWS = 6
_NONE = ("none", 0)
_CHALLENGE_MS = 5 * 60_000
"""No provider takes a token that is older."""


class Ceilings(NamedTuple):
    """A tenant's limits, whatever addresses its logins come from; 0 for none."""

    per_hour: int
    per_day: int


class LoginLimits:
    """Counts logins in `store`, for all workers together.

    `per_minute` and `per_hour` are the limits of one client for anonymous logins,
    `sign_ins_per_minute` for all others; 0 for none.
    """

    def __init__(
        self, store: Store, per_minute: int, per_hour: int, sign_ins_per_minute: int
    ) -> None:
        self._store = store
        self._per_minute = per_minute
        self._per_hour = per_hour
        self._sign_ins_per_minute = sign_ins_per_minute

    async def count(
        self,
        tenant_id: str,
        ceilings: Ceilings,
        client: IPv4Network | IPv6Network | None,
        challenge: str = "",
    ) -> None:
        """Counts one of this client, None for one without limits, and of the tenant; one that
        brings a `challenge` does not count for the tenant before `count_solved`.

        Raises TooManyRequests where that is one too many, ChallengeFailed if another login has
        brought this challenge; then it counts nowhere.
        """
        of_tenant = [("hour", ceilings.per_hour), ("day", ceilings.per_day)]
        await self._count(tenant_id, [*of_tenant, *self._windows_of(client)], challenge)

    async def count_sign_in(self, tenant_id: str, client: IPv4Network | IPv6Network | None) -> None:
        """Counts one that is not anonymous. Raises TooManyRequests."""
        if client is not None:
            minute = f"minute:sign-in:{client}", self._sign_ins_per_minute
            around = _around(client, "sign-in:", 60 * self._sign_ins_per_minute)
            await self._count(tenant_id, [_NONE, _NONE, minute, _NONE, *around])

    async def _count(
        self, tenant_id: str, windows: list[tuple[str, int]], challenge: str = ""
    ) -> None:
        """`windows` are names and limits, in the order of lua/count_login.lua."""
        if not challenge and not any(limit for _, limit in windows):
            return
        windows += [_NONE] * (_MOST_WINDOWS - len(windows))
        status, (retry_after_ms,) = await self._store.run(
            "count_login",
            [
                *(keys.logins(tenant_id, name) for name, _ in windows),
                keys.challenge(tenant_id, challenge),
            ],
            *(limit for _, limit in windows),
            _CHALLENGE_MS if challenge else 0,
        )
        if status is Status.RATE_LIMITED:
            raise TooManyRequests(retry_after_ms)
        if status is Status.EXISTS:
            raise ChallengeFailed

    async def count_solved(self, tenant_id: str, ceilings: Ceilings) -> None:
        """Counts one for the tenant whose challenge is solved. Raises TooManyRequests."""
        await self.count(tenant_id, ceilings, None)

    async def forget(self, tenant_id: str, challenge: str) -> None:
        """Another login may bring it."""
        await self._store.delete(keys.challenge(tenant_id, challenge))

    def _windows_of(self, client: IPv4Network | IPv6Network | None) -> list[tuple[str, int]]:
        """Names and limits, in the order of lua/count_login.lua."""
        if client is None:
            return []
        own = [(f"minute:{client}", self._per_minute), (f"hour:{client}", self._per_hour)]
        return own + _around(client, "", self._per_hour)


def _around(client: IPv4Network | IPv6Network, kind: str, per_hour: int) -> list[tuple[str, int]]:
    """The windows of the networks around a client that may have so many."""
    if not isinstance(client, IPv6Network):
        return []
    return [
        (f"hour:{kind}{client.supernet(new_prefix=bits)}", times * per_hour)
        for bits, times in _NETWORKS.items()
    ]
