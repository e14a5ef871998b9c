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
from server.recent import Recent

log = logging.getLogger(__name__)

MOST_IN_A_MINUTE = 10
REMEMBERED_CLIENTS = 1_000
"""Those that came last; each takes some 1 KB."""


class WrongTokens:
    """`minute`: in seconds."""

    def __init__(self, minute: float) -> None:
        self._minute = minute
        # Of each client the times of the last ones that were not limited.
        self._times: Recent[deque[float]] = Recent(REMEMBERED_CLIENTS)
        self._untold = 0
        self._last_client = ""

    def refuse(self, client: str) -> NoReturn:
        """Raises InvalidAdminToken, or TooManyWrongTokens after MOST_IN_A_MINUTE of them."""
        if not self._untold:
            asyncio.get_running_loop().call_later(self._minute, self.tell)
        self._untold += 1
        self._last_client = client
        times, now = self._times.get(client), monotonic()
        if times is None:
            times = deque(maxlen=MOST_IN_A_MINUTE)
            self._times.put(client, times)
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
