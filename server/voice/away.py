"""Redis away: a session that could not hold stays for a while, and then is closed."""

import asyncio

from server.errors import InvalidApiKey, Refusal, Unavailable
from server.voice.host import Host
from server.voice.opening import REVOKED, UNAVAILABLE
from server.voice.terms import Terms


class RedisAway:
    """Of one session."""

    def __init__(self, host: Host, terms: Terms) -> None:
        self._host = host
        self._terms = terms
        self._asking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Redis has not answered."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        terms, now = self._terms, asyncio.get_running_loop().time
        until = now() + terms.timeouts.redis_away
        while now() < until:
            await asyncio.sleep(terms.timeouts.ask_redis)
            try:
                await terms.meter().check(terms.opening.who, "hold", 1, is_rated=False)
                return
            except InvalidApiKey:
                self._host.end(REVOKED)
                return
            except Unavailable:
                continue
            except Refusal:
                return  # it has answered
        self._host.end(UNAVAILABLE)
