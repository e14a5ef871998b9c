"""Audio: how long it is, by its bytes, and what that is in tokens."""

from typing import Any

from server.providers.reading import an_object

HEARD_TOKENS = 10
"""A second of what the user says."""
SPOKEN_TOKENS = 20
"""A second of what the model says."""
_PCM_RATE = 24_000
_PCM = 2 * _PCM_RATE
_G711 = 8_000


def bytes_a_second(audio_format: Any) -> int:
    """Of a session's `format`; PCM, the provider's own, for what is unknown or absent."""
    kind = an_object(audio_format).get("type")
    return _G711 if kind in ("audio/pcmu", "audio/pcma") else _PCM


def decoded(base64: str) -> int:
    """The bytes that a text in base64 stands for."""
    return len(base64) * 3 // 4 - base64.endswith("=") - base64.endswith("==")
