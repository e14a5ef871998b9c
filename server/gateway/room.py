"""Room: what requests, or replies, may take of a worker's memory, all together.

A request's body is there while it arrives, and as the objects that it was parsed into until a
provider has accepted the call; then a provider's slowness costs no more memory than the stream
itself. A reply waits here until it is whole, or until a slow client has read it. Without a bound,
one user's uploads, or the provider of one tenant, could take all of a pod's memory, and with the
pod every stream in it.

Of a room each user has a quarter at most, and each tenant half, so that neither a user nor a
tenant can keep out all others. One body is always within the share of its user and tenant, if
they have no other: a share must not make a bound of its own for what one may be.
"""

from types import TracebackType
from typing import Self

from server.errors import Overloaded
from server.structure import VALUE_BYTES

REQUESTS_BYTES = 128 * 1024 * 1024
SMALL_REQUEST_BYTES = 16 * 1024
REPLIES_BYTES = 96 * 1024 * 1024
SMALL_REPLY_BYTES = 64 * 1024
_WIDEST = 4 + 1


class Room:
    """Of one worker, `size` bytes of memory. What takes no more than `free` is not counted: it
    costs no more than the connection that it comes over."""

    def __init__(self, size: int, free: int) -> None:
        self.left = size
        self.free = free
        self._of_tenant = size // 2
        self._of_user = size // 4
        self._taken: dict[str, int] = {}

    def portion(self, tenant_id: str, user_id: str) -> "Portion":
        """For a request or reply of this user; it is empty at first."""
        return Portion(self, tenant_id, user_id)

    def is_there(self, owners: tuple[str, str], own: int, more: int) -> bool:
        """May one that has `own` bytes have `more`?"""
        if more > self.left:
            return False
        for owner, share in zip(owners, (self._of_tenant, self._of_user), strict=True):
            taken = self._taken.get(owner, 0)
            if taken > own and taken + more > share:
                return False
        return True

    def take(self, owners: tuple[str, str], more: int) -> None:
        """Less than nothing gives back."""
        self.left -= more
        for owner in owners:
            taken = self._taken.pop(owner, 0) + more
            if taken:
                self._taken[owner] = taken


class Portion:
    """What one request or reply has; as a context manager it leaves at the end, unless kept."""

    __slots__ = ("_is_kept", "_room", "_size", "_tenant_id", "_user_id")

    def __init__(self, room: Room, tenant_id: str, user_id: str) -> None:
        self._room = room
        self._tenant_id = tenant_id
        self._user_id = user_id
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

    @property
    def owners(self) -> tuple[str, str]:
        """Neither can look like the other."""
        return f"tenant {self._tenant_id}", f"user {self._user_id}"

    @property
    def is_taken(self) -> bool:
        """Is anything of it counted?"""
        return self._size > 0

    def could_be(self, size: int) -> None:
        """Is there room for so much now? Raises Overloaded."""
        more = size - self._size
        if size > self._room.free and not self._room.is_there(self.owners, self._size, more):
            raise Overloaded

    def grow_to(self, size: int) -> None:
        """Raises Overloaded, and then has what it had."""
        if size > self._size and size > self._room.free and not self.resize(size):
            raise Overloaded

    def grow_by(self, more: int) -> None:
        """As grow_to, from what is counted."""
        self.grow_to(self._size + more)

    def resize(self, size: int) -> bool:
        """It takes so many bytes now; False, and it has what it had, if there is no room."""
        if size <= self._room.free:
            if not self._size:  # as nearly always
                return True
            size = 0
        more = size - self._size
        if more > 0 and not self._room.is_there(self.owners, self._size, more):
            return False
        if more:
            self._room.take(self.owners, more)
            self._size = size
        return True

    def leave(self) -> None:
        """What was counted is no more."""
        if self._size:
            self.resize(0)

    def keep(self) -> Self:
        """It is not over with the end of `with`: whoever gets it now has it leave."""
        self._is_kept = True
        return self


def memory_of(text: bytearray, values: int) -> int:
    """Bytes that a body takes once it is parsed, with the request that is made of it; at most."""
    most = len(text) * (1 + _WIDEST) + values * VALUE_BYTES
    if most <= SMALL_REQUEST_BYTES:  # as for nearly all, and nothing depends on how much less
        return most
    return len(text) * (1 + _width(text)) + values * VALUE_BYTES


def _width(text: bytearray) -> int:
    """Bytes in memory for each byte of a string: Python gives all characters of a string the room
    of its widest one, and keeps its UTF-8 beside that once it was written."""
    if b"\\ud" in text or b"\\uD" in text or any(lead in text for lead in range(0xF0, 0xF5)):
        return _WIDEST
    return 1 if text.isascii() and b"\\u" not in text else 2 + 1
