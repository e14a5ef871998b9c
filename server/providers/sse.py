"""Server-sent events: splitting a provider's stream into events, framing ours.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from server.providers.bounds import MOST_PARSED_BYTES, TooLarge

# What the event of an answer begins with: its name, and its data, an object.
_ANSWER = re.compile(rb"\n*(?:event:[^\n]*\n)?data:\s*\{")
COMMENT = b":\n\n"
_BLOCK_BYTES = 50
"""That an event takes in memory, besides its text."""
_MOST_LINES = 1_000
"""Of one event, which has one or two as a rule."""


# A name of events that are failures, whatever their data: error, throttlingException, ...
_FAILURE = re.compile(rb"[\w.-]{0,64}(?:error|exception|fail|fatal)[\w.-]{0,64}", re.IGNORECASE)
# The first lines of nearly all events that have one.
_OF_ANSWERS = frozenset(
    b"event: " + name
    for name in (
        *(b"message_start", b"content_block_start", b"content_block_delta", b"content_block_stop"),
        *(b"message_delta", b"message_stop", b"ping"),
    )
)

# Those of a response that are failures by their names may say what was used.
_OF_RESPONSES = b"response."


class Failure(bytes):
    """The data of an event that is a failure by its name."""


class NoEvents(Exception):
    """What comes is no event that could be of an answer."""


class Events:
    """The events of one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        """What has come of the next event."""
        self.size = 0
        """About how many bytes of memory events take that wait, those that are complete until all
        of them are gone."""
        # The end of a chunk, which may be the first half of a line's end.
        self._carriage_return = b""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The `data` of each event that is complete now; b'' for one without (a comment).

        Raises NoEvents, TooLarge, and so does what it returns when that is gone through: a list of
        one event, or of very many a generator that takes its time for each.
        """
        if self._carriage_return or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        rest = self._rest
        if not rest and 0 < chunk.find(b"\n\n") == len(chunk) - 2:
            return [_data(chunk[:-2])]  # one whole event, as nearly all are
        # Only what is new is searched: a large event may come in very many chunks.
        begin = max(len(rest) - 1, 0)
        rest += chunk
        self.size = len(rest)
        end = rest.rfind(b"\n\n", begin)
        if end < 0:
            if len(rest) > MOST_PARSED_BYTES:
                raise TooLarge if _ANSWER.match(rest) else NoEvents
            return []
        blocks = bytes(rest[:end]).split(b"\n\n")
        del rest[: end + 2]
        self.size = len(rest) + end + len(blocks) * _BLOCK_BYTES
        return self._each(blocks)

    def _each(self, blocks: list[bytes]) -> Iterator[bytes]:
        blocks.reverse()
        while blocks:
            block = blocks.pop()  # so that none is kept for the others
            if block.strip(b"\n"):
                yield _data(block)
        self.size = len(self._rest)

    def flush(self) -> list[bytes]:
        """The event that an ended stream left without its empty line. Raises NoEvents."""
        data = _data(bytes(self._rest).strip(b"\n"))
        self._rest.clear()
        self.size = 0
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


def frames(events: Iterable[dict[str, Any]]) -> bytes:
    """Each by the name that is its type."""
    return b"".join([frame(orjson.dumps(event), event["type"]) for event in events])


def name_of(kind: str) -> str:
    """That of a provider's event of this type: SDKs skip one whose name is not its type. No line of
    a stream may come of it."""
    return kind if kind.isprintable() else "message"


def _data(block: bytes) -> bytes:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    if block.count(b"\n") > _MOST_LINES:
        raise NoEvents
    # A stream may begin with the mark.
    lines = block.removeprefix(BOM_UTF8).split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    first = lines[0]
    if (
        len(lines) == 2
        and len(data) == 1
        and first.startswith(b"event:")
        and (first in _OF_ANSWERS or not _is_failure(first[6:]))
    ):
        return data[0]  # as nearly always
    return _odd_data(lines, data)


def _odd_data(lines: list[bytes], data: list[bytes]) -> bytes:
    """Some servers write a failure without the field, or with its name as the field."""
    is_failure = False
    for line in lines:
        name, _, rest = line.partition(b":")
        if name == b"event":
            is_failure = is_failure or _is_failure(rest)
        elif _is_failure(name):
            is_failure = True
            data.append(rest.strip())
        elif line.startswith(b"{"):
            data.append(line)
    # One without data would be a comment.
    return Failure(b"\n".join(data) or b"{}") if is_failure else b"\n".join(data)


def _is_failure(name: bytes) -> bool:
    name = name.strip()
    return not name.startswith(_OF_RESPONSES) and _FAILURE.fullmatch(name) is not None
