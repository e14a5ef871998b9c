"""Framing: a whole text message as a frame. websockets takes three times as long to write one, a
tenth of what a relayed message costs."""

from secrets import token_bytes
from struct import Struct

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where it can be

_HEAD = 0x81
"""Of a message that is whole, and a text."""
_MASKED = 0x80
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
