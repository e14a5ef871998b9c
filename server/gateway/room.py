"""Room: what the requests that a worker has in hand may take of its memory, all together.

A body is there while it arrives, and as the objects that it was parsed into until a provider has
accepted the call; then a provider's slowness costs no more memory than the stream itself. Without
a bound, one user's uploads could take all of a pod's memory, and with the pod every stream in it.

Of its room each user has a quarter at most, and each tenant half, so that neither a user nor a
tenant can keep out all others. One request is always within the share of its user and tenant, if
they have no other: a share must not make a bound of its own for what a request may be.
"""

from types import TracebackType
from typing import Self

from server.errors import Overloaded
from server.structure import VALUE_BYTES

ROOM_BYTES = 128 * 1024 * 1024
FREE_BYTES = 16 * 1024
"""What is smaller is not counted: it costs no more than the connection that it comes over."""


_WIDEST = 4 + 1


class Room:
    """Of one worker, in bytes of memory."""

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self.left = size
        self._of_tenant = size // 2
        self._of_user = size // 4
        self._taken: dict[str, int] = {}

    def portion(self, tenant_id: str, user_id: str) -> "Portion":
        """For a request of this user, while the body of `with` runs; it is empty at first."""
        return Portion(self, tenant_id, user_id)

    def check(self, owners: tuple[str, str], own: int, more: int) -> None:
        """May one that has `own` bytes have `more`? Raises Overloaded."""
        if more > self.left:
            raise Overloaded
        for owner, share in zip(owners, (self._of_tenant, self._of_user), strict=True):
            taken = self._taken.get(owner, 0)
            if taken > own and taken + more > share:
                raise Overloaded

    def take(self, owners: tuple[str, str], more: int) -> None:
        """Less than nothing gives back."""
        self.left -= more
        for owner in owners:
            taken = self._taken.pop(owner, 0) + more
            if taken:
                self._taken[owner] = taken


class Portion:
    """What one request has."""

    __slots__ = ("_is_kept", "_owners", "_room", "_size")

    def __init__(self, room: Room, tenant_id: str, user_id: str) -> None:
        self._room = room
        # Neither can look like the other.
        self._owners = (f"tenant {tenant_id}", f"user {user_id}")
        self._size = 0
        self._is_kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_kept:
            self.leave()

    def could_be(self, size: int) -> None:
        """Is there room for so much now? Raises Overloaded."""
        if size > FREE_BYTES:
            self._room.check(self._owners, self._size, size - self._size)

    def grow_to(self, size: int) -> None:
        """Raises Overloaded, and then has what it had."""
        if size > FREE_BYTES and size > self._size:
            more = size - self._size
            self._room.check(self._owners, self._size, more)
            self._room.take(self._owners, more)
            self._size = size

    def leave(self) -> None:
        """What was counted is no more."""
        if self._size:
            self._room.take(self._owners, -self._size)
            self._size = 0

    def keep(self) -> Self:
        """It is not over with the end of `with`: whoever gets it now has it leave."""
        self._is_kept = True
        return self


def memory_of(text: bytearray, values: int) -> int:
    """Bytes that a body takes once it is parsed, with the request that is made of it; at most."""
    most = len(text) * (1 + _WIDEST) + values * VALUE_BYTES
    if most <= FREE_BYTES:  # as for nearly all, and nothing depends on how much less
        return most
    return len(text) * (1 + _width(text)) + values * VALUE_BYTES


def _width(text: bytearray) -> int:
    """Bytes in memory for each byte of a string: Python gives all characters of a string the room
    of its widest one, and keeps its UTF-8 beside that once it was written."""
    if b"\\ud" in text or b"\\uD" in text or any(lead in text for lead in range(0xF0, 0xF5)):
        return _WIDEST
    return 1 if text.isascii() and b"\\u" not in text else 2 + 1
