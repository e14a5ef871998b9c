"""What a call has cost, told with the end of its stream, where its head could not say it yet.

`spent` is what a client reads: tokensCharged and tokensLeft, or nothing where that is not known.
"""

from collections.abc import Mapping

import orjson

MEMBER = "vibe"
"""Of the event that has the usage; SDKs keep what they do not know, or leave it out."""


def added_to(data: bytes, spent: Mapping[str, int]) -> bytes:
    """`data`, the JSON of an object that is not empty, with a member more; else as it was."""
    if not spent:
        return data
    return b'%b,"%b":%b}' % (data.rstrip()[:-1], MEMBER.encode(), orjson.dumps(spent))


def member(spent: Mapping[str, int]) -> dict[str, Mapping[str, int]]:
    """To be added to an event that is made here; {} if nothing is known."""
    return {MEMBER: spent} if spent else {}


def comment(spent: Mapping[str, int]) -> bytes:
    """For a stream without such an event."""
    return b": %b\n\n" % orjson.dumps({MEMBER: spent}) if spent else b""
