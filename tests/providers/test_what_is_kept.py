"""Of what should be a number or a word nothing large is remembered until the end of a stream."""

import gc
import tracemalloc
from typing import Any

import orjson
import pytest

from server.providers.tally import ChatTally, MessageTally
from server.providers.translation import TRANSLATIONS, Source

SIZE = 500_000
PART = b'"%b"' % (b"x" * (SIZE // 100))
LARGE = {
    "a string": b'"%b"' % (b"x" * SIZE),
    "a list": b"[" + b",".join([PART] * 100) + b"]",
    "an object": b"{" + b",".join(b'"%d":%b' % (number, PART) for number in range(100)) + b"}",
    "a deep list": b"[" * 1_000 + b"]" * 1_000,
}


def of_chat(value: str) -> list[dict[str, Any]]:
    usage = {"prompt_tokens": value, "completion_tokens": 1, "other": value}
    call = {"index": value, "function": {"name": "f", "arguments": "{}"}, "extra_content": value}
    choice = {"index": value, "delta": {"tool_calls": [call]}, "finish_reason": value}
    return [{"choices": [choice], "usage": usage}]


def of_messages(value: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": value, "output_tokens": value, "output_tokens_details": {"a": value}}
    return [
        {"type": "message_start", "message": {"id": value, "model": value, "usage": usage}},
        {"type": "content_block_start", "index": value, "content_block": {"type": value}},
        {"type": "message_delta", "delta": {"stop_reason": value}, "usage": usage},
    ]


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("client", ["chat", "messages", "responses"])
@pytest.mark.parametrize("endpoint", ["chat", "messages"])
def test_nothing_large_is_kept(endpoint: Any, client: Any, name: str) -> None:
    make, tally = (of_chat, ChatTally(2)) if endpoint == "chat" else (of_messages, MessageTally())
    stream = TRANSLATIONS[client, endpoint].stream(True, Source("main"))
    tracemalloc.start()
    try:
        for made in make("@"):
            data = orjson.dumps(made).replace(b'"@"', LARGE[name])
            event = tally.see(data)
            assert event is not None
            stream.event(data, event)
        del data, event
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < SIZE // 5
    finally:
        tracemalloc.stop()


TEXT = "x" * 100_000
SOURCES = [{"type": "url_citation", "url_citation": {"url": TEXT, "title": TEXT}}] * 50
CALL = {"type": "tool_use", "name": TEXT, "id": TEXT, "input": {}}
LASTING: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "parts": ("chat", [{"content": "a", "refusal": "b"}] * 2_000),
    "sources": ("chat", [{"annotations": SOURCES}] * 20),
    "thoughts": ("messages", [{"type": "thinking", "thinking": "", "signature": TEXT}] * 10),
    "redacted thoughts": ("messages", [{"type": "redacted_thinking", "data": TEXT}] * 10),
    "calls": ("messages", [CALL] * 10),
    "texts": ("messages", [{"type": "text", "text": "a"}] * 2_000),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_a_response_keeps_until_its_end_is_counted(name: str) -> None:
    endpoint, made = LASTING[name]
    stream = TRANSLATIONS["responses", endpoint].stream(True, Source("main"))
    tracemalloc.start()
    try:
        for number in range(len(made)):
            for event in lasting(endpoint, number, orjson.loads(orjson.dumps(made[number]))):
                stream.event(b"", event)
        del event
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1.3 * stream.kept + SIZE // 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["a", "\n", "\x01", "é", "é\x01", "\U0001f600"])
def test_how_long_the_end_of_a_response_is_can_be_told(text: str) -> None:
    stream = TRANSLATIONS["responses", "chat"].stream(True, Source("main"))
    for event in lasting("chat", 0, {"content": text * 20_000}):
        stream.event(b"", event)
    assert len(stream.end({})) < 4.1 * stream.kept


def lasting(endpoint: str, number: int, made: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint == "chat":
        return [{"choices": [{"index": 0, "delta": made}]}]
    begin = {"type": "content_block_start", "index": number, "content_block": made}
    return [begin, {"type": "content_block_stop", "index": number}]


@pytest.mark.parametrize("size", [10_000, 15_000, 30_000])
def test_of_an_event_with_half_a_character_little_is_kept(size: int) -> None:
    rest = b"[" + b",".join([b'{"":0}'] * (size // 7)) + b"]"
    data = b'{"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}],"x":%b}' % rest
    stream, tally = TRANSLATIONS["messages", "chat"].stream(True, Source("main")), ChatTally()
    tracemalloc.start()
    try:
        event = tally.see(data)
        assert event is not None
        stream.event(data, event)
        del event
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < SIZE // 5
    finally:
        tracemalloc.stop()
