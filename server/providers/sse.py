"""Server-sent events: splitting a provider's stream into events, framing ours.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from codecs import BOM_UTF8

MOST_BYTES = 4 * 1024 * 1024
"""One event may have so many: a stream must not fill our memory."""

COMMENT = b":\n\n"


class TooLarge(Exception):
    """An event exceeds MOST_BYTES."""


class Events:
    """The events of one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        # The end of a chunk, which may be the first half of a line's end.
        self._carriage_return = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The `data` of each event that is complete now; b'' for one without (a comment).

        Raises TooLarge.
        """
        if self._carriage_return or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        rest = self._rest
        if not rest and 0 < chunk.find(b"\n\n") == len(chunk) - 2:
            return [_data(chunk[:-2])]  # one whole event, as nearly all are
        # Only what is new is searched: a large event may come in very many chunks.
        begin = max(len(rest) - 1, 0)
        rest += chunk
        end = rest.rfind(b"\n\n", begin)
        if end < 0:
            if len(rest) > MOST_BYTES:
                raise TooLarge
            return []
        blocks = bytes(rest[:end]).split(b"\n\n")
        del rest[: end + 2]
        return [_data(block) for block in blocks if block.strip(b"\n")]

    def flush(self) -> list[bytes]:
        """The event that an ended stream left without its empty line."""
        data = _data(bytes(self._rest).strip(b"\n"))
        self._rest.clear()
        return [data] if data else []

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        chunk = self._carriage_return + chunk
        end = len(chunk) - chunk.endswith(b"\r")
        self._carriage_return = chunk[end:]
        return chunk[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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
