"""Waiting: calls that lack tokens which others of their user hold, until one of those settles.

An app asks for an answer and a title at once, or an agent takes parallel steps. The first call
holds what it may cost, of a small balance all, and gives nearly all of it back: who is told to pay
meanwhile is told wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from server.metering.errors import PaymentRequired, TokensHeld
from server.metering.results import Held
from server.timeouts import Timeouts

MOST_OF_A_USER = 8
MOST_IN_ALL = 200
"""Of a worker. Each asks Redis again and again, which costs whoever sent it one request."""


class Waiting:
    """Of one worker. What settles in others it does not hear of, so that each call also asks again
    after a while."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._of_user: dict[str, set[asyncio.Event]] = {}
        self._number = 0

    def wake(self, user_id: str) -> None:
        """One of the user's holds has settled."""
        for settled in self._of_user.get(user_id, ()):
            settled.set()

    async def until_held(
        self, user_id: str, lacking: PaymentRequired, ask: Callable[[], Awaitable[Held]]
    ) -> Held:
        """What `ask` answers once it is not refused any more; `lacking` is its first refusal.

        Raises PaymentRequired where no hold of the user's has what is missing, TokensHeld where
        they do not give it back in time, or too many calls wait; and what else `ask` raises.
        """
        if not lacking.is_held:
            raise lacking
        calls = self._of_user.setdefault(user_id, set())
        if len(calls) >= MOST_OF_A_USER or self._number >= MOST_IN_ALL:
            self._forget_if_empty(user_id)
            raise TokensHeld(lacking)
        settled = asyncio.Event()
        calls.add(settled)
        self._number += 1
        try:
            return await self._ask_again(lacking, settled, ask)
        finally:
            self._number -= 1
            calls.discard(settled)
            self._forget_if_empty(user_id)

    async def _ask_again(
        self, lacking: PaymentRequired, settled: asyncio.Event, ask: Callable[[], Awaitable[Held]]
    ) -> Held:
        now = asyncio.get_running_loop().time
        until = now() + self._timeouts.tokens_held
        while (left := until - now()) > 0:
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

    def _forget_if_empty(self, user_id: str) -> None:
        if not self._of_user[user_id]:
            del self._of_user[user_id]
