"""Server-sent events: splitting a provider's stream into events, framing ours.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from codecs import BOM_UTF8

MOST_BYTES = 4 * 1024 * 1024
"""Of one event: a stream may not fill our memory."""

COMMENT = b":\n\n"


class TooLarge(Exception):
    """An event exceeds MOST_BYTES."""


class Events:
    """The events of one stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The `data` of each event that is complete now; b'' for one without (a comment).

        Raises TooLarge.
        """
        text = self._rest + chunk if self._rest else chunk
        if b"\r" in text:
            # The last one may be the first half of a line's end.
            end = len(text) - text.endswith(b"\r")
            text = text[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + text[end:]
        if 0 < text.find(b"\n\n") == len(text) - 2:
            self._rest = b""
            return [_data(text[:-2])]  # one whole event, as nearly all are
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > MOST_BYTES:
            raise TooLarge
        return [_data(block) for block in blocks if block]

    def flush(self) -> list[bytes]:
        """The event that an ended stream left without its empty line."""
        data, self._rest = _data(self._rest.strip(b"\r\n")), b""
        return [data] if data else []


def frame(data: bytes, event: str = "") -> bytes:
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if event:
        return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
    return b"data: %b\n\n" % data


def _data(block: bytes) -> bytes:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    # A stream may begin with the mark.
    lines = block.removeprefix(BOM_UTF8).split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(data)
