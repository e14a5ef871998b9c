"""Framing: a whole text message as a frame, and out of one. websockets takes three times as long to
write one, and five times to read one: together a third of what a relayed message costs."""

from secrets import token_bytes
from struct import Struct
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where it can be
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

_HEAD = 0x81
"""Of a message that is whole, and a text."""
_MASKED = 0x80
_LONGEST_HEAD = 8
"""Of those that are read here: size and mask."""
_BEGINNING = StreamReader.at_eof.__code__
"""Where websockets is when a frame has ended, and none has begun."""
_SHORT, _MIDDLE, _LONG = Struct("!BB").pack, Struct("!BBH").pack, Struct("!BBQ").pack


def frame_of(text: bytes, is_clients: bool) -> bytes:
    """RFC 6455, 5.2; a client's is masked."""
    size, bit = len(text), _MASKED if is_clients else 0
    if size < 126:
        head = _SHORT(_HEAD, bit | size)
    elif size < 65_536:
        head = _MIDDLE(_HEAD, bit | 126, size)
    else:
        head = _LONG(_HEAD, bit | 127, size)
    if not is_clients:
        return head + text
    key = token_bytes(4)
    return b"".join((head, key, apply_mask(text, key)))


def is_between(frames: ServerProtocol | ClientProtocol) -> bool:
    """Does websockets wait for a frame to begin, with no fragments before it?"""
    waiting: Any = frames.parser
    while (inner := waiting.gi_yieldfrom) is not None:
        waiting = inner
    return waiting.gi_code is _BEGINNING and frames.current_size is None


def text_of(data: bytes, begin: int, is_clients: bool) -> tuple[bytes, int] | None:
    """The text of the frame that begins here in `data`, and where the next one does. None for what
    is to be read by websockets: all that is not a whole message of fewer than 64 KiB, or not as
    that end must send it."""
    if len(data) - begin < _LONGEST_HEAD or data[begin] != _HEAD:
        return None
    size, at = data[begin + 1], begin + 2
    if is_clients:
        size -= _MASKED
    if size == 126:
        size, at = data[at] << 8 | data[at + 1], at + 2
    elif not 0 <= size < 126:
        return None
    text = at + 4 if is_clients else at
    end = text + size
    if end > len(data):
        return None
    whole = data[text:end]
    return (apply_mask(whole, data[at:text]) if is_clients else whole), end
