"""Waiting: calls that lack tokens which others of their user hold, until one of those settles.

An app asks for an answer and a title at once, or an agent takes parallel steps. The first call
holds what it may cost, of a small balance all, and gives nearly all of it back: who is told to pay
meanwhile is told wrong.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

from server.metering.errors import PaymentRequired, TokensHeld
from server.metering.results import Held
from server.timeouts import Timeouts
from server.who import Who

MOST_OF_A_USER = 8
MOST_OF_A_TENANT = 100
MOST_IN_ALL = 200
"""Of a worker. Each asks Redis again and again, which costs whoever sent it one request."""


class Waiting:
    """Of one worker. What settles in others it does not hear of, so that each call also asks again
    after a while."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._of_user: dict[str, dict[asyncio.Event, None]] = {}
        """In the order in which they came, which is that in which they ask when one settles."""
        self._of_tenant: Counter[str] = Counter()
        self._stop_by = inf

    def stop(self, by: float) -> None:
        """A shutdown has begun: who still waits `by` then, on the loop's clock, is refused."""
        self._stop_by = by

    def wake(self, user_id: str) -> None:
        """One of the user's holds has settled."""
        for settled in self._of_user.get(user_id, ()):
            settled.set()

    async def until_held(
        self, who: Who, lacking: PaymentRequired, ask: Callable[[], Awaitable[Held]]
    ) -> Held:
        """What `ask` answers once it is not refused any more; `lacking` is its first refusal.

        Raises PaymentRequired where no hold of the user's has what is missing, TokensHeld where
        they do not give it back in time, or too many calls wait; and what else `ask` raises.
        """
        if not lacking.is_held:
            raise lacking
        if self._is_full_for(who):
            raise TokensHeld(lacking)
        settled = asyncio.Event()
        self._of_user.setdefault(who.user_id, {})[settled] = None
        self._of_tenant[who.tenant_id] += 1
        try:
            return await self._ask_again(lacking, settled, ask)
        finally:
            self._forget(who, settled)

    def _is_full_for(self, who: Who) -> bool:
        return (
            len(self._of_user.get(who.user_id, ())) >= MOST_OF_A_USER
            or self._of_tenant[who.tenant_id] >= MOST_OF_A_TENANT
            or self._of_tenant.total() >= MOST_IN_ALL
        )

    def _forget(self, who: Who, settled: asyncio.Event) -> None:
        calls = self._of_user[who.user_id]
        del calls[settled]
        if not calls:
            del self._of_user[who.user_id]
        self._of_tenant[who.tenant_id] -= 1
        if not self._of_tenant[who.tenant_id]:
            del self._of_tenant[who.tenant_id]

    async def _ask_again(
        self, lacking: PaymentRequired, settled: asyncio.Event, ask: Callable[[], Awaitable[Held]]
    ) -> Held:
        now = asyncio.get_running_loop().time
        until = now() + self._timeouts.tokens_held
        while (left := min(until, self._stop_by) - now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._timeouts.ask_again)):
                    await settled.wait()
            settled.clear()
            try:
                return await ask()
            except PaymentRequired as refusal:
                if not refusal.is_held:
                    raise
                lacking = refusal
        raise TokensHeld(lacking)
