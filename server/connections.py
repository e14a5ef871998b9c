"""How many connections a worker has at a time, and which of them go when there are more.

One that only waits for its client takes 10 KB of memory, with the beginning of a head or a body
20 KB. A single machine can have 60,000 of them, of which
each pod with 512 MiB would die; and who is refused when there are too many must not be who comes
last, as that is everybody else.
"""

from typing import Any

MOST_CONNECTIONS = 3_000
AT_ONCE = MOST_CONNECTIONS // 10
"""So that who comes seldom has to pay for looking at all of them."""


def make_room(connections: set[Any]) -> None:
    """If there are too many, ends those of whose clients nothing has come for longest, of those
    that wait for their clients; never the last that came, though all others be served."""
    if len(connections) <= MOST_CONNECTIONS:
        return
    waiting = [one for one in connections if one.waits_for_client]
    waiting.sort(key=lambda one: one._time)
    for one in waiting[: max(0, min(AT_ONCE, len(waiting) - AT_ONCE))]:
        connections.discard(one)  # it leaves by itself, but later
        one.abort()
