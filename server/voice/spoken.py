"""Spoken: a delta of audio, read without parsing the audio, which is nearly all of it."""

import orjson

from server.voice.audio import decoded
from server.voice.events import name_of

AUDIO = "response.output_audio.delta"
_AUDIO_BEGINS, _AUDIO_ENDS = b',"delta":"', b'"}'
_HEAD_BYTES = 1_000
"""Within which it begins."""


def spoken(text: bytes) -> tuple[str, int] | None:
    """The ID of its response, and its bytes of audio, where `text` is a delta that ends with it, as
    they do; None for what must be parsed to be known. Raises ValueError for what is no JSON.

    It is what a parser would find: without backslashes a string ends at the next quote, the bracket
    behind it ends the message, and of members of one name the last one counts. But for control
    characters in the audio, which JSON does not have: those are for the client to refuse."""
    comma = text.find(_AUDIO_BEGINS, 0, _HEAD_BYTES)
    if comma < 0 or b"\\" in text:
        return None
    begin = comma + len(_AUDIO_BEGINS)
    end = text.find(b'"', begin)
    if text[end:] != _AUDIO_ENDS:
        return None
    event = orjson.loads(text[:comma] + b"}")
    if event.get("type") != AUDIO:
        return None
    return name_of(event.get("response_id")), decoded(text[begin:end].decode())
