"""The content blocks of a streamed message, each from its first to its last delta."""

from sys import getsizeof
from typing import Any

from server.providers.for_messages.details import Details
from server.providers.for_messages.state import mark_of

# What a fragment takes in memory, besides its text.
FRAGMENT_BYTES = 10

Delta = dict[str, Any]


class Block:
    """A content block that is open or waits to be."""

    has_started = False
    is_stopped = False
    """Nothing can be added to it any more."""

    def __init__(self, start: dict[str, Any], delta: str, member: str) -> None:
        self.start = start
        self.unsent: list[str] = []
        self.kept = 0
        """About how many bytes of memory `unsent` takes."""
        self._delta = delta
        self._member = member

    @property
    def can_start(self) -> bool:
        return True

    @property
    def is_complete(self) -> bool:
        """May the next block follow?"""
        return True

    def add(self, text: str) -> None:
        self.unsent.append(text)
        self.kept += getsizeof(text) + FRAGMENT_BYTES  # by its widest character

    def ready(self) -> Delta | None:
        """The delta with what can be sent now; from then on it counts as sent."""
        if not self.unsent:
            return None
        text = "".join(self.unsent)
        self.unsent.clear()
        self.kept = 0
        return {"type": self._delta, self._member: text}

    def last(self) -> Delta | None:
        """The delta before it is stopped, after all that was ready."""
        return None

    def drain(self) -> str:
        """The text that is unsent."""
        text = "".join(self.unsent)
        self.unsent.clear()
        self.kept = 0
        return text

    def _with(self, text: str) -> Delta:
        return {"type": self._delta, self._member: text}


class Text(Block):
    def __init__(self) -> None:
        super().__init__({"type": "text", "text": ""}, "text_delta", "text")


class Refused(Block):
    """A refusal, for those who can tell it from other text."""

    def __init__(self) -> None:
        super().__init__({"type": "refusal", "refusal": ""}, "refusal_delta", "refusal")


class Thinking(Block):
    """Reasoning; our mark comes last, as Anthropic's signatures do."""

    def __init__(self, origin: str) -> None:
        """`origin`: the name of the endpoint."""
        start = {"type": "thinking", "thinking": "", "signature": ""}
        super().__init__(start, "thinking_delta", "thinking")
        self.details = Details()
        self.member = ""
        """What the endpoint called the reasoning."""
        self._origin = origin

    def last(self) -> Delta | None:
        signature = mark_of(self._origin, self.member, self.details.joined())
        return {"type": "signature_delta", "signature": signature} if signature else None
