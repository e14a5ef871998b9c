"""How many logins there may be, of one client, of the networks around it, and of a tenant."""

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from server.errors import TooManyRequests
from server.store import keys
from server.store.status import Status
from server.store.store import Store

# How much more a network may take than a client, by the bits of its prefix: who has one of these
# has up to 65,536 of a client's, and they cost nothing. Behind one IPv4 address there can be many
# users, and nobody gets a network of them for nothing, so that these have no limit in common.
_NETWORKS = {56: 4, 48: 10}
_MOST_WINDOWS = 6


class Ceilings(NamedTuple):
    """A tenant's limits, whatever addresses its logins come from; 0 for none."""

    per_hour: int
    per_day: int


class LoginLimits:
    """Counts logins in `store`, for all workers together.

    `per_minute` and `per_hour` are the limits of one client, 0 for none.
    """

    def __init__(self, store: Store, per_minute: int, per_hour: int) -> None:
        self._store = store
        self._per_minute = per_minute
        self._per_hour = per_hour

    async def count(
        self, tenant_id: str, ceilings: Ceilings, client: IPv4Network | IPv6Network | None
    ) -> None:
        """Counts one of this client, None for one without limits, and of the tenant.

        Raises TooManyRequests where that is one too many; then it counts nowhere.
        """
        of_tenant = [("hour", ceilings.per_hour), ("day", ceilings.per_day)]
        windows = [*of_tenant, *self._windows_of(client)]
        if not any(limit for _, limit in windows):
            return
        windows += [("none", 0)] * (_MOST_WINDOWS - len(windows))
        status, (retry_after_ms,) = await self._store.run(
            "count_login",
            [keys.logins(tenant_id, name) for name, _ in windows],
            *(limit for _, limit in windows),
        )
        if status is Status.RATE_LIMITED:
            raise TooManyRequests(retry_after_ms)

    def _windows_of(self, client: IPv4Network | IPv6Network | None) -> list[tuple[str, int]]:
        """Names and limits, in the order of lua/count_login.lua."""
        if client is None:
            return []
        windows = [(f"minute:{client}", self._per_minute), (f"hour:{client}", self._per_hour)]
        if isinstance(client, IPv6Network):
            windows += [
                (f"hour:{client.supernet(new_prefix=bits)}", times * self._per_hour)
                for bits, times in _NETWORKS.items()
            ]
        return windows
