"""Streamed chat completions for clients that speak Anthropic's messages."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from server.providers.for_messages.reply import from_completion
from server.providers.for_messages.stream import MessageStream
from tests.arbitrary import damaged, json_objects, values
from tests.providers.completions import (
    MESSAGE,
    NO_USAGE,
    USAGE,
    WHOLE_STREAM,
    accumulated,
    call,
    chunk,
    completion,
    events,
    part,
)


def test_a_stream_with_everything() -> None:
    assert accumulated(WHOLE_STREAM) == MESSAGE


def test_the_events_of_a_stream() -> None:
    assert events([*WHOLE_STREAM[3:5], chunk({}, "stop", USAGE)]) == [
        {
            "type": "message_start",
            "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": NO_USAGE},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta(0, {"type": "text_delta", "text": "Let me "}),
        delta(0, {"type": "text_delta", "text": "look."}),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": MESSAGE["usage"],
        },
        {"type": "message_stop"},
    ]


def delta(index: int, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": value}


def test_a_chunk_is_passed_on_at_once() -> None:
    stream = MessageStream()
    assert [event["type"] for event in stream.from_chunk(chunk({"role": "assistant"}))] == [
        "message_start"
    ]
    assert stream.from_chunk(chunk({"content": "Hi"}))[-1]["delta"]["text"] == "Hi"
    assert stream.from_chunk(part(0, "", id="a", name="f"))[-1]["content_block"]["name"] == "f"
    assert stream.from_chunk(part(0, '{"b":')) == stream.from_chunk(part(0, "1}")) == []
    # The first call is complete: the second need not wait.
    assert stream.from_chunk(part(1, '{"c":', id="b", name="g")) == [
        delta(1, {"type": "input_json_delta", "partial_json": '{"b":1}'}),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        },
    ]


def test_a_stream_of_nothing() -> None:
    assert [event["type"] for event in events([])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


USE_A = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
USE_B = {"type": "tool_use", "id": "b", "name": "g", "input": {"y": 2}}
TEXT = {"type": "text", "text": "Done."}


@pytest.mark.parametrize(
    ("chunks", "content"),
    [
        pytest.param(
            [
                part(0, '{"x"', id="a", name="f"),
                part(1, '{"y"', id="b", name="g"),
                part(0, ":1}"),
                part(1, ":2}"),
            ],
            [USE_A, USE_B],
            id="interleaved calls",
        ),
        pytest.param(
            [
                part(0, '{"x"', id="a", name="f"),
                chunk({"content": "Do"}),
                part(0, ":1}"),
                chunk({"content": "ne."}),
            ],
            [USE_A, TEXT],
            id="text within a call",
        ),
        pytest.param(
            [
                chunk({"content": "Done."}),
                part(0, '{"x":1}', id="a", name="f"),
                chunk({"content": "Done."}),
            ],
            [TEXT, USE_A, TEXT],
            id="text after a call",
        ),
        pytest.param(
            [part(0, '{"x":1}', id="a", name="f"), part(0, '{"y":2}', id="b", name="g")],
            [USE_A, USE_B],
            id="one index for all",
        ),
        pytest.param(
            [part(None, '{"x":1}', id="a", name="f"), part(None, '{"y":2}', id="b", name="g")],
            [USE_A, USE_B],
            id="no index",
        ),
        pytest.param(
            [part(0, '{"x"', id="a", name="f"), part(0, ":1}", id="a", name="f")],
            [USE_A],
            id="id and name again and again",
        ),
        pytest.param(
            [part(0, '{"x"', id="a"), part(0, ":1", name="f"), part(0, "}")],
            [USE_A],
            id="a late name",
        ),
        pytest.param(
            [part(0, "", id="b"), part(1, '{"x":1}', id="a", name="f")],
            [USE_A],
            id="a call of nothing",
        ),
    ],
)
def test_calls_in_streams(chunks: list[dict[str, Any]], content: list[Any]) -> None:
    assert accumulated(chunks)["content"] == content


@st.composite
def conversations(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A message with calls, and its stream, in which the calls' parts are mixed."""
    text, thinking = draw(st.text(max_size=9)), draw(st.text(max_size=9))
    calls = [
        call(f"call{number}", "f", orjson.dumps({"a": draw(values)}).decode())
        for number in range(draw(st.integers(0, 3)))
    ]
    chunks = [
        chunk({name: piece})
        for name, whole in (("reasoning", thinking), ("content", text))
        for piece in draw(pieces(whole))
    ]
    parts = [
        [part(n, first, id=c["id"], name="f"), *(part(n, rest) for rest in more)]
        for n, c in enumerate(calls)
        for first, *more in [draw(pieces(c["function"]["arguments"]))]
    ]
    started = 0
    while any(parts):
        # Calls begin in their order.
        choices = [n for n, waiting in enumerate(parts) if waiting and n <= started]
        number = draw(st.sampled_from(choices))
        started = max(started, number + 1)
        chunks.append(parts[number].pop(0))
    return {"content": text, "reasoning": thinking, "tool_calls": calls}, chunks


@st.composite
def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[start:end] for start, end in pairwise([0, *cuts, len(whole)])]


@given(conversations())
def test_a_stream_says_what_the_whole_reply_says(
    conversation: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    message, chunks = conversation
    whole = from_completion(completion("stop", **message))
    streamed = accumulated([*chunks, chunk({}, "stop", USAGE)])
    assert streamed == whole


deltas = st.sampled_from([each["choices"][0]["delta"] for each in WHOLE_STREAM if each["choices"]])
odd_chunks = json_objects | st.sampled_from(WHOLE_STREAM).flatmap(damaged) | deltas.map(chunk)


@given(st.lists(odd_chunks, max_size=8))
def test_no_stream_is_too_odd(chunks: list[dict[str, Any]]) -> None:
    translated = iter(events(chunks))
    assert next(translated)["type"] == "message_start"
    index = -1
    for event in blocks(translated):
        if event["type"] == "content_block_start":
            index += 1
        assert event["index"] == index
    assert [event["type"] for event in translated] == ["message_stop"]


def blocks(translated: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events of the blocks, each of which is stopped before the next starts."""
    is_open = False
    for event in translated:
        if event["type"] == "message_delta":
            assert not is_open
            return
        assert is_open == (event["type"] != "content_block_start")
        is_open = event["type"] != "content_block_stop"
        yield event
