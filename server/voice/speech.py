"""Speech: what the user says, until it is an item of the conversation.

Audio that is sent costs nothing by itself: a response reads it once it is committed, by the client
or by the provider, which hears when somebody has stopped speaking.
"""

from server.voice.audio import HEARD_TOKENS, decoded
from server.voice.items import ITEM_TOKENS

_PADDING_SECONDS = 0.3
"""From before the speech began, which the provider adds."""
_LONGEST_MS = 86_400_000
"""That is believed."""


class Speech:
    def __init__(self) -> None:
        self._seconds = 0.0
        """Sent since the last commit."""
        self._began_ms: float | None = None
        self._heard: float | None = None
        """Seconds between the provider's marks, once it has heard the end."""
        self._commits: list[float] = []
        """Seconds of what the client has committed, which the provider has not said yet."""

    def append(self, audio: str, rate: int) -> None:
        self._seconds += decoded(audio) / rate

    def clear(self) -> None:
        self._seconds, self._heard = 0.0, None

    def started(self, at_ms: object) -> None:
        self._began_ms = at_ms if isinstance(at_ms, int | float) else None

    def stopped(self, at_ms: object) -> None:
        began, self._began_ms = self._began_ms, None
        self._heard = self._seconds
        if began is None or not isinstance(at_ms, int | float):
            return
        if 0 <= at_ms - began <= _LONGEST_MS:
            self._heard = (at_ms - began) / 1000

    def commit(self) -> int:
        """The client commits; the tokens that this adds to the conversation."""
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
        seconds, self._seconds = self._seconds + _PADDING_SECONDS, 0.0
        return seconds, _tokens(seconds), True


def _tokens(seconds: float) -> int:
    return int(seconds * HEARD_TOKENS) + 1 + ITEM_TOKENS
