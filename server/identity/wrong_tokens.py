"""Wrong admin tokens: limited by the client's address, and told to the operator.

In the memory of a worker: the right token opens whatever was counted, so that nobody is locked out
by others who share the address, and nothing depends on an exact count.
"""

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import NoReturn

from server.errors import InvalidAdminToken, TooManyWrongTokens

log = logging.getLogger(__name__)

MOST_IN_A_MINUTE = 10
REMEMBERED_CLIENTS = 1_000
"""Those that came last; each takes some 1 KB."""


class WrongTokens:
    """`minute`: in seconds."""

    def __init__(self, minute: float) -> None:
        self._minute = minute
        # Of each client the times of the last ones that were not limited; who came last is last.
        self._times: dict[str, deque[float]] = {}
        self._untold = 0
        self._last_client = ""

    def refuse(self, client: str) -> NoReturn:
        """Raises InvalidAdminToken, or TooManyWrongTokens after MOST_IN_A_MINUTE of them."""
        if not self._untold:
            asyncio.get_running_loop().call_later(self._minute, self.tell)
        self._untold += 1
        self._last_client = client
        times = self._times.pop(client, None) or deque(maxlen=MOST_IN_A_MINUTE)
        self._times[client] = times
        if len(self._times) > REMEMBERED_CLIENTS:
            del self._times[next(iter(self._times))]
        now = monotonic()
        if len(times) == MOST_IN_A_MINUTE and now < times[0] + self._minute:
            raise TooManyWrongTokens(int(1000 * (times[0] + self._minute - now)))
        times.append(now)
        raise InvalidAdminToken

    def tell(self) -> None:
        """A line with their number, for the minute that is over or until the worker ends."""
        if self._untold:
            log.warning(
                "%d requests with a wrong admin token within a minute, the last one from %s",
                self._untold,
                self._last_client,
            )
        self._untold = 0
