"""Replies and streams of Anthropic's messages, as OpenAI's SDK reads them."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from server.providers.for_chat.reply import from_message
from server.providers.for_chat.stream import ChatStream
from tests.arbitrary import damaged, json_objects

Json = Any

CREATED = 1_795_390_000
MESSAGE: dict[str, Json] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "s"},
        {"type": "text", "text": "I "},
        {"type": "text", "text": "look."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": [1, "é"]}},
        {"type": "tool_use", "id": "toolu_2", "name": "ask", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 25,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 100,
        "output_tokens": 15,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}

USAGE = {
    "prompt_tokens": 135,
    "completion_tokens": 15,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 4},
}

REPLY: dict[str, Json] = {
    "role": "assistant",
    "content": "I look.",
    "refusal": None,
    "reasoning_content": "Let me see.",
    "tool_calls": [
        {
            "id": "toolu_1",
            "type": "function",
            "function": {"name": "look", "arguments": '{"at":[1,"é"]}'},
        },
        {"id": "toolu_2", "type": "function", "function": {"name": "ask", "arguments": "{}"}},
    ],
}


def test_a_reply_with_everything() -> None:
    completion = from_message(MESSAGE, CREATED)
    assert completion == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "claude-x",
        "choices": [
            {"index": 0, "message": REPLY, "logprobs": None, "finish_reason": "tool_calls"}
        ],
        "usage": USAGE,
    }
    ChatCompletion.model_validate(completion, strict=True)


@pytest.mark.parametrize(
    ("message", "content", "reason"),
    [
        ({"content": MESSAGE["content"][1:3], "stop_reason": "end_turn"}, "I look.", "stop"),
        ({"content": [], "stop_reason": "stop_sequence"}, "", "stop"),
        ({"content": MESSAGE["content"][3:], "stop_reason": "tool_use"}, None, "tool_calls"),
        ({"content": MESSAGE["content"][3:], "stop_reason": "max_tokens"}, None, "length"),
        ({"stop_reason": "model_context_window_exceeded"}, "", "length"),
        ({"stop_reason": "pause_turn"}, "", "length"),
        ({"stop_reason": "refusal"}, "", "content_filter"),
        ({"stop_reason": "new_one"}, "", "length"),
        ({"content": MESSAGE["content"][3:], "stop_reason": None}, None, "tool_calls"),
        ({"content": MESSAGE["content"][3:], "stop_reason": "end_turn"}, None, "tool_calls"),
        ({"content": MESSAGE["content"][3:], "stop_reason": "STOP"}, None, "tool_calls"),
        ({"content": MESSAGE["content"][3:], "stop_reason": "stop_sequence"}, None, "tool_calls"),
        ({"content": MESSAGE["content"][1:3], "stop_reason": "tool_use"}, "I look.", "stop"),
    ],
)
def test_replies(message: Json, content: str | None, reason: str) -> None:
    (choice,) = from_message(message, CREATED)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, reason)
    chunks = streamed(events_of({"usage": MESSAGE["usage"], "content": [], **message}))
    assert chunks[-1]["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize("usage", [None, {}, [], 3])
def test_no_usage_is_made_up(usage: Json) -> None:
    assert "usage" not in from_message({**MESSAGE, "usage": usage}, CREATED)
    stream = ChatStream(CREATED, include_usage=True)
    stream.from_event({"type": "message_start", "message": {"usage": usage}})
    assert all(chunk["choices"] for chunk in stream.finish())


def test_what_is_no_count_is_none() -> None:
    usage = {"input_tokens": 10**13, "cache_read_input_tokens": 10**13 + 1, "output_tokens": True}
    found = from_message({**MESSAGE, "usage": usage}, CREATED)["usage"]
    assert found["prompt_tokens"] == found["total_tokens"] == 10**13
    assert found["completion_tokens"] == 0


def events_of(message: Json) -> Iterator[Json]:
    """A stream of this message, each text in two pieces."""
    start = {**message, "content": [], "stop_reason": None}
    start["usage"] = {**message["usage"], "output_tokens": 1, "output_tokens_details": None}
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        name = {"thinking": "thinking", "text": "text"}.get(kind, "partial_json")
        delta = {"partial_json": "input_json_delta"}.get(name, f"{kind}_delta")
        whole = block[name] if name in block else orjson.dumps(block["input"]).decode()
        opened = {**block, "input": {}} if kind == "tool_use" else {**block, name: ""}
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        pieces = ["", whole[:3], whole[3:]] if whole != "{}" else [""]
        for piece in pieces:
            event = {"type": "content_block_delta", "index": index}
            yield {**event, "delta": {"type": delta, name: piece}}
        if kind == "thinking":
            signature = {"type": "signature_delta", "signature": "s"}
            yield {"type": "content_block_delta", "index": index, "delta": signature}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": 15, "input_tokens": None, "output_tokens_details": None}
    yield {"type": "message_delta", "delta": {"stop_reason": None}, "usage": usage}
    yield {"type": "message_delta", "delta": ending, "usage": message["usage"]}
    yield {"type": "message_stop"}


def streamed(events: Iterator[Json], include_usage: bool = False) -> list[Json]:
    stream = ChatStream(CREATED, include_usage)
    chunks = [chunk for event in events for chunk in stream.from_event(event)]
    return chunks + stream.finish()


def test_a_stream_adds_up_to_the_reply() -> None:
    state: ChatCompletionStreamState = ChatCompletionStreamState()
    chunks = streamed(events_of(MESSAGE), include_usage=True)
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    found = state.get_final_completion().model_dump()
    assert (
        found["usage"]
        == ChatCompletion.model_validate(from_message(MESSAGE, CREATED)).model_dump()["usage"]
    )
    (choice,) = found["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert {name: message[name] for name in ("role", "content", "reasoning_content")} == {
        name: REPLY[name] for name in ("role", "content", "reasoning_content")
    }
    for made, expected in zip(message["tool_calls"], REPLY["tool_calls"], strict=True):
        assert made["id"] == expected["id"]
        assert made["function"].items() >= expected["function"].items()


def test_a_streams_chunks() -> None:
    chunks = streamed(events_of(MESSAGE))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {(chunk["id"], chunk["model"]) for chunk in chunks} == {("msg_1", "claude-x")}
    assert not any("usage" in chunk for chunk in chunks), "it was not asked for"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]] == [
        *[None] * (len(chunks) - 1),
        "tool_calls",
    ]
    calls = [
        made for chunk in chunks for made in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert [made["index"] for made in calls] == [0, 0, 0, 1, 1], "tools alone are counted"


def test_usage_comes_last_and_once() -> None:
    *chunks, last = streamed(events_of(MESSAGE), include_usage=True)
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in chunks)


def test_a_stream_without_a_beginning_or_an_end() -> None:
    block = {"type": "tool_use", "id": "a", "name": "look", "input": {"at": 1}}
    chunks = streamed(iter([{"type": "content_block_start", "index": 0, "content_block": block}]))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert deltas[1]["tool_calls"] == [{"index": 0, "function": {"arguments": '{"at":1}'}}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": -1}, {"index": "0"}])
def test_a_block_without_an_index_is_the_first(index: Json) -> None:
    block = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"at":1}'}
    events = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "delta": delta, **index},
        {"type": "content_block_stop", **index},
    ]
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed(iter(events))]
    assert deltas[1]["tool_calls"] == [{"index": 0, "function": {"arguments": '{"at":1}'}}]
    assert not any("tool_calls" in delta for delta in deltas[2:])


@given(json_objects | damaged(MESSAGE))
def test_any_reply_becomes_a_completion(message: Json) -> None:
    completion = from_message(message, CREATED)
    orjson.dumps(completion)
    ChatCompletion.model_validate(completion, strict=True)


@given(damaged({"events": list(events_of(MESSAGE))}))
@example({"events": [{"type": "content_block_delta", "delta": {"type": "unknown", "": "text"}}]})
def test_any_events_become_chunks(whole: Json) -> None:
    events = whole.get("events")
    kept = events if isinstance(events, list) else []
    chunks = streamed(event for event in kept if isinstance(event, dict))
    for chunk in chunks:
        orjson.dumps(chunk)
        ChatCompletionChunk.model_validate(chunk, strict=True)
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert reasons[-1] is not None
    assert not any(reasons[:-1])


def test_input_too_deep_to_be_written_is_no_json() -> None:
    deep: Json = {}
    for _ in range(300):
        deep = {"a": deep}
    use = {"type": "tool_use", "id": "a", "name": "look", "input": deep}
    (choice,) = from_message({"content": [use]}, CREATED)["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == ""
