"""Server-sent events are the same however the stream is cut into chunks."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.providers.sse import Events

PIECES = [b"data: one", b"data: ", b"data:two", b"event: x", b": comment", b"\n", b"\r", b"\r\n"]
STREAMS = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def events_of(chunks: list[bytes]) -> list[bytes]:
    events = Events()
    return [data for chunk in chunks for data in events.feed(chunk)] + events.flush()


@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
def test_chunks_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[begin:end] for begin, end in pairwise(at)]
    assert events_of(chunks) == events_of([stream])
    # Our own rule: as the standard's, but that the field's name needs its colon, and that what
    # the stream ends with is an event, too.
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    wanted = [
        b"\n".join(
            line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")
        )
        for block in lines
        if block
    ]
    assert [data for data in events_of(chunks) if data] == [data for data in wanted if data]


def test_a_large_event_in_very_many_chunks() -> None:
    """It would take minutes if each chunk cost as much as all before it."""
    data = b"x" * 3_000_000
    stream = b"data: " + data + b"\n\ndata: next\n\n"
    chunks = [stream[at : at + 8] for at in range(0, len(stream), 8)]
    assert events_of(chunks) == [data, b"next"]
