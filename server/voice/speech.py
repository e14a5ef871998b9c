"""Speech: what the user says, until it is an item of the conversation.

Audio that is sent costs nothing by itself: a response reads it once it is committed, by the client
or by the provider, which hears when somebody has stopped speaking.
"""

from server.metering.errors import TooManyCalls
from server.voice.audio import HEARD_TOKENS, decoded
from server.voice.items import ITEM_TOKENS

_PADDING_SECONDS = 0.3
"""From before the speech began, which the provider adds."""
_LONGEST_MS = 86_400_000
"""That is believed."""
_LEAST_SECONDS = 0.1
"""That the provider commits."""
MOST_COMMITS = 100
"""That the provider has not said yet: each is remembered."""


class Speech:
    def __init__(self) -> None:
        self._seconds = 0.0
        """Sent since the last commit."""
        self._began_ms: float | None = None
        self._heard: float | None = None
        """Seconds between the provider's marks, once it has heard the end."""
        self._commits: list[float] = []
        """Seconds of what the client has committed, which the provider has not said yet."""
        self._clears, self._cleared = 0, 0.0
        """How often it has cleared, which the provider has not said yet, and seconds of that."""

    @property
    def is_any(self) -> bool:
        """May there be something that is not an item yet?"""
        return self._so_far > 0 or self._heard is not None or bool(self._commits)

    @property
    def is_being_cleared(self) -> bool:
        return self._clears > 0

    @property
    def _so_far(self) -> float:
        """Seconds that the next item may have."""
        return self._seconds + self._cleared

    @property
    def unheard(self) -> list[float]:
        """Seconds of each item that there must be, which the provider has not said yet."""
        heard = [] if self._heard is None else [self._heard]
        return [seconds for seconds in (*self._commits, *heard) if seconds >= _LEAST_SECONDS]

    def append(self, audio: str, rate: int) -> None:
        self._seconds += decoded(audio) / rate

    def clear(self) -> None:
        """The provider is asked to."""
        self._clears += 1
        self._cleared, self._seconds = self._so_far, 0.0

    def cleared(self) -> None:
        """It has, after it has said what was committed before."""
        self._clears = max(self._clears - 1, 0)
        self._heard = None
        if not self._clears:
            self._cleared = 0.0

    def started(self, at_ms: object) -> None:
        self._began_ms = at_ms if isinstance(at_ms, int | float) else None

    def stopped(self, at_ms: object) -> None:
        began, self._began_ms = self._began_ms, None
        self._heard = self._so_far
        if began is None or not isinstance(at_ms, int | float):
            return
        if 0 <= at_ms - began <= _LONGEST_MS:
            self._heard = (at_ms - began) / 1000

    def commit(self) -> int:
        """The client commits; the tokens that this adds to the conversation.

        Raises TooManyCalls.
        """
        if len(self._commits) >= MOST_COMMITS:
            raise TooManyCalls
        seconds, self._seconds = self._seconds, 0.0
        self._commits.append(seconds)
        return _tokens(seconds)

    def commit_failed(self) -> None:
        if self._commits:
            self._commits.pop(0)

    def committed(self) -> tuple[float, int, bool]:
        """The provider says that there is a new item: its seconds, the tokens that this adds to the
        conversation, and whether it has heard the end of a turn by itself."""
        heard, self._heard = self._heard, None
        if heard is not None:
            self._seconds = 0.0
            return heard, _tokens(heard), True
        if self._commits:
            return self._commits.pop(0), 0, False
        seconds, self._seconds = self._so_far + _PADDING_SECONDS, 0.0
        return seconds, _tokens(seconds), True


def _tokens(seconds: float) -> int:
    return int(seconds * HEARD_TOKENS) + 1 + ITEM_TOKENS
