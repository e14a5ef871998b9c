"""FaultRates: requests that are refused have a rate of their own.

The user's rate limit does not count them, so that nobody pays for a mistake; without a bound a
client could be refused as fast as it can send. A worker's own count, in its memory, is enough for
that: it need not be exact, and a flood must not cost Redis anything.
"""

from time import monotonic

from server.recent import Recent

MOST_FAULTS = 1_000
"""In a minute; of those with large bodies fewer."""
LARGE_FAULT = 250
_BYTES_OF_A_FAULT = 4 * 1024
_PER_MS = MOST_FAULTS / 60_000
REMEMBERED_CLIENTS = 5_000


def weight_of(size: int) -> int:
    """How many faults one counts for of whose body `size` bytes were read."""
    return min(1 + size // _BYTES_OF_A_FAULT, LARGE_FAULT)


class FaultRates:
    """Of one worker; a client is an API key or an address, as the caller has it."""

    def __init__(self) -> None:
        # Of each client how many faults it had, less those that time has forgiven, and when that
        # was computed, in ms.
        self._levels: Recent[tuple[float, float]] = Recent(REMEMBERED_CLIENTS)

    def count(self, client: str, faults: int) -> None:
        level, now = self._level(client)
        self._levels.put(client, (level + faults, now))

    def wait_ms(self, client: str) -> int:
        """Until it has no more than MOST_FAULTS; 0 if so."""
        if client not in self._levels:  # as of nearly all
            return 0
        level, _ = self._level(client)
        return max(0, int((level - MOST_FAULTS) / _PER_MS))

    def _level(self, client: str) -> tuple[float, float]:
        now = 1000 * monotonic()
        level, at = self._levels.get(client) or (0.0, now)
        return max(0.0, level - (now - at) * _PER_MS), now
