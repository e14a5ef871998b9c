"""Sessions: those of voice that a worker has open."""

import asyncio
from collections import Counter
from typing import Protocol

from server import metrics
from server.errors import Overloaded, TooManyRequests
from server.metering.holding import Holding
from server.places import Places
from server.voice.opening import EXPIRED, SHUTDOWN, Cause, Ending
from server.who import Who

MOST_OF_A_USER = 5
"""In a worker."""
_RETRY_MS = 1_000


class AnySession(Protocol):
    async def run(self) -> Ending:
        """To its end, with all settles."""

    def end(self, cause: Cause) -> None:
        """Soon."""


class VoiceSessions:
    """Of one worker, `most` at a time."""

    def __init__(self, most: int, holding: Holding) -> None:
        self._places = Places(most)
        self._holding = holding
        self._of_user: Counter[str] = Counter()
        self._running: set[AnySession] = set()
        self._is_ending = False

    def take(self, who: Who) -> None:
        """A place for one of this user. Raises Overloaded, TooManyRequests."""
        if self._is_ending:
            raise Overloaded
        self._places.take(who.tenant_id)
        self._of_user[who.user_id] += 1
        if self._of_user[who.user_id] > MOST_OF_A_USER:
            self.leave(who)
            raise TooManyRequests(_RETRY_MS)

    def leave(self, who: Who) -> None:
        self._places.leave(who.tenant_id)
        self._of_user[who.user_id] -= 1
        if not self._of_user[who.user_id]:
            del self._of_user[who.user_id]

    def run(self, session: AnySession, who: Who, endpoint: str, seconds: float) -> None:
        """Runs it, which has a place, for so long; then it is told that it has expired."""
        running = asyncio.create_task(self._run(session, who, endpoint, seconds))
        self._holding.wait_for(running)

    async def _run(self, session: AnySession, who: Who, endpoint: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(seconds, session.end, EXPIRED)
        self._running.add(session)
        if self._is_ending:
            session.end(SHUTDOWN)
        metrics.session_opened()
        outcome, begun = "failed", loop.time()
        try:
            ending = await session.run()
            outcome = ending.cause.outcome
        finally:
            expiry.cancel()
            self._running.discard(session)
            self.leave(who)
            metrics.session_ended(who.tenant_id, endpoint, outcome, loop.time() - begun)

    def end(self) -> None:
        """The worker is about to stop."""
        self._is_ending = True
        for session in list(self._running):
            session.end(SHUTDOWN)
