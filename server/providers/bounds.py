"""Bounds of what providers answer: they are trusted as little as clients.

What is parsed takes some 20 ms at most, whatever it is. Honest replies are far smaller, but for
those with the logprobs of many tokens: one token with 20 alternatives has 2.3 KB and 350 values.
"""

from server.structure import structure_of

MOST_REPLY_BYTES = 32 * 1024 * 1024
"""Of a reply that is not streamed, decompressed."""
MOST_PARSED_BYTES = 4 * 1024 * 1024
"""Of an event, or of a reply that is parsed."""
MOST_REPLY_VALUES = 50_000
MOST_EVENT_VALUES = 20_000
MOST_CALLS_OF_TOOLS = 500
"""Of tools, in a stream that is translated."""
STREAMED_TOKEN_BYTES = 8 * 1024
"""Of a stream for each token of its output limit, at most on average."""
MOST_KEPT_BYTES = 4 * 1024 * 1024
"""Of what one stream makes us remember until its end."""


class TooLarge(Exception):
    """A reply, an event, or what a stream has to be remembered by, exceeds its bounds."""


def can_be_parsed(text: bytes | bytearray, most_values: int) -> bool:
    # A text has at most as many values as bytes, and the parser has its own bound of depth.
    return len(text) <= most_values or (
        len(text) <= MOST_PARSED_BYTES
        and structure_of(text, most_values, most_depth=most_values) is not None
    )
