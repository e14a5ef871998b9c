"""How many connections a worker has at a time, and which of them go when there are more.

One that only waits for its client takes 10 KB of memory, with the beginning of a head or a body
20 KB, and with replies that nobody reads more. A single machine can have 60,000 of them, of which
each pod with 512 MiB would die; and who is refused when there are too many must not be who comes
last, as that is everybody else.
"""

from typing import Any

MOST_CONNECTIONS = 3_000
AT_ONCE = MOST_CONNECTIONS // 10
"""So that who comes seldom has to pay for looking at all of them."""
UNREAD_BYTES = 4 * 1024
"""As much of replies waits to be sent, or a larger one, before the next one has to wait, too."""
MOST_UNREAD = 500
"""Connections on which more than that waits."""

# In the order in which their clients ceased to read.
_unread: dict[Any, None] = {}


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


def unread(connection: Any) -> None:
    """Its client does not read. If there are too many, the one that has not for longest ends."""
    _unread[connection] = None
    if len(_unread) > MOST_UNREAD:
        first = next(iter(_unread))
        del _unread[first]
        first.abort()


def read(connection: Any) -> None:
    """Its client reads again, or has gone."""
    _unread.pop(connection, None)
