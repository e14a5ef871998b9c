"""What a double hears: audio by its format, and where speech begins and ends."""

import base64
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

RATES = {"audio/pcm": 48_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Bytes a second."""
_QUIET = {"audio/pcmu": b"\xff\x7f", "audio/pcma": b"\xd5\x55"}
_LOUD = 800
"""Of 32,768; what a room's noise is below."""
_FRAME_MS = 20


def silence(seconds: float, kind: str = "audio/pcm") -> bytes:
    return _QUIET.get(kind, b"\0")[:1] * (round(seconds * RATES[kind] / 2) * 2)


def speech(seconds: float, kind: str = "audio/pcm") -> bytes:
    """A tone."""
    period = b"\x00\x20" * 30 + b"\x00\xe0" * 30 if kind == "audio/pcm" else b"\x20" * 8
    size = round(seconds * RATES[kind] / 2) * 2
    return (period * (size // len(period) + 1))[:size]


def spoken(milliseconds: int, kind: str) -> str:
    """As it is sent."""
    return base64.b64encode(speech(milliseconds / 1000, kind)).decode()


class Change(NamedTuple):
    speaks: bool
    at_ms: int
    """Since the session's audio began; for the API, with its padding."""


class Ear:
    """Listens to the audio of one session."""

    def __init__(self) -> None:
        self._rest = b""
        self._heard_ms = 0
        self._quiet_ms = 0
        self._speaks = False

    def hear(self, audio: bytes, kind: str, detection: dict[str, Any]) -> Iterator[Change]:
        """Each beginning and end of speech in what is appended; kept until all of it is asked."""
        size = RATES[kind] * _FRAME_MS // 1000
        audio = self._rest + audio
        whole = len(audio) // size * size
        self._rest = audio[whole:]
        for start in range(0, whole, size):
            self._heard_ms += _FRAME_MS
            loud = _is_loud(audio[start : start + size], kind)
            self._quiet_ms = 0 if loud else self._quiet_ms + _FRAME_MS
            if loud and not self._speaks:
                self._speaks = True
                padding = detection.get("prefix_padding_ms", 300)
                yield Change(True, max(0, self._heard_ms - _FRAME_MS - padding))
            elif self._speaks and self._quiet_ms >= detection.get("silence_duration_ms", 500):
                self._speaks = False
                yield Change(False, self._heard_ms)


def _is_loud(frame: bytes, kind: str) -> bool:
    if kind != "audio/pcm":
        return bool(frame.strip(_QUIET[kind]))
    samples = array("h", frame)
    return max(samples) > _LOUD or min(samples) < -_LOUD
