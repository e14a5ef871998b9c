"""Output: what a response has said so far, for when nobody reports it, and against its limit."""

from server.providers.estimate import Output as Text
from server.voice.audio import SPOKEN_TOKENS, decoded
from server.voice.opening import Event
from server.voice.spoken import AUDIO

_TEXTS = frozenset({"response.output_text.delta", "response.output_audio_transcript.delta"})
_ARGUMENTS = frozenset(
    {"response.function_call_arguments.delta", "response.mcp_call_arguments.delta"}
)
DELTAS = frozenset({AUDIO, *_TEXTS, *_ARGUMENTS})


class Output:
    """Of one response."""

    def __init__(self, rate: int, speed: float) -> None:
        """`rate`: bytes of a second of audio; `speed`: how many seconds of the model's speech are
        in a second of it."""
        self._tokens_a_byte = SPOKEN_TOKENS * speed / rate
        self._bytes = 0
        self._text = Text()

    def see(self, kind: str, event: Event) -> None:
        """One of DELTAS."""
        delta = event.get("delta")
        if not isinstance(delta, str):
            return
        if kind == AUDIO:
            self.hear(decoded(delta))
        elif kind in _TEXTS:
            self._text.add(delta)
        else:
            self._text.add_doubtful(delta)

    def hear(self, size: int) -> None:
        """So many bytes of audio."""
        self._bytes += size

    @property
    def is_any(self) -> bool:
        return self._bytes > 0 or self._text.size > 0

    @property
    def tokens(self) -> int:
        """As an estimate."""
        return self._spoken + self._text.tokens

    def exceeds(self, most: int) -> bool:
        """Is it more than `most` tokens for certain?"""
        return self._text.exceeds(most - self._spoken)

    @property
    def _spoken(self) -> int:
        return int(self._bytes * self._tokens_a_byte)
