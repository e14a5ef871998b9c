"""LargeReplies: how much of a worker's memory replies may take at a time.

Each may be large, and waits here until it is whole, or until a slow client has read it. Without a
bound, the provider of one tenant could take all of a pod's memory, and with the pod every stream.
"""

from collections import Counter

SMALL_BYTES = 64 * 1024
"""What a call keeps of its reply is not counted up to this."""


class LargeReplies:
    """Of one worker, together at most `room` bytes, of one tenant at most half of that."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.share = room // 2
        self.taken: Counter[str] = Counter()

    def of(self, tenant_id: str) -> "LargeReply":
        return LargeReply(self, tenant_id)


class LargeReply:
    """What one call keeps of its reply."""

    def __init__(self, replies: LargeReplies, tenant_id: str) -> None:
        self._replies = replies
        self._tenant_id = tenant_id
        self._size = 0

    def resize(self, size: int) -> bool:
        """It takes so many bytes now; False, and nothing has changed, if there is no room."""
        size = 0 if size <= SMALL_BYTES else size
        if size == self._size:
            return True
        more, replies = size - self._size, self._replies
        taken = replies.taken[self._tenant_id] + more
        if more > 0 and (more > replies.room or taken > replies.share):
            return False
        replies.room -= more
        replies.taken[self._tenant_id] = taken
        if not taken:
            del replies.taken[self._tenant_id]
        self._size = size
        return True

    def close(self) -> None:
        self.resize(0)
