"""Places: how much of one kind may be under way in a worker, all together: calls to providers, and
what others are asked for a tenant, as Stripe; or sessions of voice."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import Overloaded

MOST_CALLS = 1_440
"""Each takes 42 KB, to a provider with TLS 68, and with the beginning of a reply 260; a silent
provider keeps its own for 600 s."""
_SHARE = 8


class Places:
    """Of one worker. A tenant gets no more once it has eight times as many as are free: alone it
    can have eight ninths of them, and whoever comes then still finds some."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        self._free = most
        self._taken: Counter[str] = Counter()

    def take(self, tenant_id: str) -> None:
        """Raises Overloaded."""
        if self._taken[tenant_id] >= _SHARE * self._free:
            raise Overloaded
        self._taken[tenant_id] += 1
        self._free -= 1

    def leave(self, tenant_id: str) -> None:
        self._free += 1
        self._taken[tenant_id] -= 1
        if not self._taken[tenant_id]:
            del self._taken[tenant_id]

    @contextmanager
    def place(self, tenant_id: str) -> Iterator[None]:
        """For the body of `with`. Raises Overloaded."""
        self.take(tenant_id)
        try:
            yield
        finally:
            self.leave(tenant_id)
