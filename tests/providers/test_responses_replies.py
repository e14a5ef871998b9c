"""Replies and streams of chat completions and of messages for clients of OpenAI's responses. Each
is read by their SDK's types, which take nothing else."""

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings
from openai.types.responses import Response

from server.providers.bounds import MOST_CALLS_OF_TOOLS, MOST_KEPT_BYTES, TooLarge
from server.providers.for_messages.state import mark_of
from server.providers.for_responses.state import sealed
from server.providers.reading import parse
from server.providers.translation import TRANSLATIONS, Source
from tests.arbitrary import damaged, json_objects
from tests.providers.completions import (
    WHOLE,
    WHOLE_STREAM,
    call,
    chunk,
    completion,
    part,
)
from tests.providers.responses import accumulated, framed, streamed, told, whole

Json = Any

HI: dict[str, Any] = {"input": "Hi"}
USAGE = {
    "input_tokens": 119,
    "input_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 10},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 129,
}
OF_ANTHROPIC = {
    "input_tokens": 19,
    "cache_creation_input_tokens": 10,
    "cache_read_input_tokens": 90,
    "output_tokens": 10,
    "output_tokens_details": {"thinking_tokens": 4},
}


def text(said: str, *annotations: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [*annotations], "logprobs": []}


def message(*parts: Any, status: str = "completed") -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "status": status, "content": [*parts]}


def function_call(call_id: str, name: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "status": "completed",
        "arguments": arguments,
        "call_id": call_id,
        "name": name,
        **more,
    }


def reasoning(summary: str, kept: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": "reasoning", "summary": []}
    if summary:
        found["summary"] = [{"type": "summary_text", "text": summary}]
    return {**found, "encrypted_content": kept} if kept else found


def reply_of(*content: Any, stop_reason: str = "end_turn", usage: Any = OF_ANTHROPIC) -> Json:
    return {
        "id": "msg_9f",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [*content],
        "stop_reason": stop_reason,
        "usage": usage,
    }


def stream_of(reply: Json) -> list[Json]:
    """The events of a message, its texts and inputs in pieces."""
    events: list[Json] = [
        {"type": "message_start", "message": {**reply, "content": [], "stop_reason": None}},
        {"type": "ping"},
    ]
    for index, block in enumerate(reply["content"]):
        start, pieces = _in_pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": one} for one in pieces]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": reply["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": reply["usage"]})
    return [*events, {"type": "message_stop"}]


def _in_pieces(block: Json) -> tuple[Json, list[Json]]:
    if block["type"] == "tool_use":
        given = orjson.dumps(block["input"]).decode() if block["input"] else ""
        pieces = [{"type": "input_json_delta", "partial_json": one} for one in given]
        return {**block, "input": {}}, pieces
    if block["type"] == "redacted_thinking":
        return block, []
    name = block["type"]
    pieces = [{"type": f"{name}_delta", name: one} for one in block[name]]
    if "signature" not in block:
        return {**block, name: ""}, pieces
    signed = {"type": "signature_delta", "signature": block["signature"]}
    return {**block, name: "", "signature": ""}, [*pieces, signed]


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
HIDDEN = {"type": "redacted_thinking", "data": "Eq"}
SAID = {"type": "text", "text": "Let me look."}
WEATHER = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Köln"}}
TIME = {"type": "tool_use", "id": "b", "name": "time", "input": {}}
CALLS = [function_call("a", "weather", '{"city":"Köln"}'), function_call("b", "time", "{}")]


def test_a_chat_completion_with_everything() -> None:
    response = whole("chat", WHOLE, {**HI, "metadata": {"a": "b"}, "temperature": 0.5})
    assert response["id"].startswith("resp_")
    assert response["object"] == "response"
    found = told(response)
    assert found["output"] == [
        reasoning("Hm.", mark_of("main", "reasoning_content", {})),
        message(text("Let me look.")),
        *CALLS,
    ]
    assert found["usage"] == USAGE
    assert (found["status"], found["model"]) == ("completed", "some-model")
    assert (found["error"], found["incomplete_details"], found["store"]) == (None, None, False)
    assert (found["metadata"], found["temperature"]) == ({"a": "b"}, 0.5)


def test_a_message_with_everything() -> None:
    reply = reply_of(THINKING, HIDDEN, SAID, WEATHER, TIME, stop_reason="tool_use")
    found = told(whole("messages", reply, HI))
    assert found["output"] == [
        reasoning("Hm.", sealed("thinking", "EqQB", "main")),
        reasoning("", sealed("redacted_thinking", "Eq", "main")),
        message(text("Let me look.")),
        *CALLS,
    ]
    assert found["usage"] == USAGE
    assert found["status"] == "completed"
    assert told(streamed("messages", stream_of(reply), HI)[-1]["response"]) == found


def test_a_stream_of_chunks_makes_the_same() -> None:
    response = streamed("chat", WHOLE_STREAM, HI)[-1]["response"]
    assert told(response) == told(whole("chat", WHOLE, HI))
    read = accumulated("chat", WHOLE_STREAM, HI)
    assert read.output_text == "Let me look."
    assert [item.type for item in read.output][2:] == ["function_call"] * 2


def kinds(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_the_events_of_a_stream() -> None:
    reply = reply_of({"type": "text", "text": "Hi"}, WEATHER, stop_reason="tool_use")
    events = streamed("messages", stream_of({**reply, "usage": {}}), HI)
    arguments = ["function_call_arguments.delta"] * len('{"city":"Köln"}')
    assert kinds(events) == [
        *("created", "in_progress"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", *arguments, "function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    places = [event["output_index"] for event in events[2:-1]]
    assert places == sorted(places)
    assert "".join(event["delta"] for event in events if "delta" in event) == 'Hi{"city":"Köln"}'
    items = [event["item"] for event in events if event["type"].endswith("item.done")]
    assert events[-1]["response"]["output"] == items
    assert events[-1]["response"]["usage"] is None
    assert events[2]["item"] == {**items[0], "status": "in_progress", "content": []}


def test_a_piece_is_passed_on_at_once() -> None:
    stream = TRANSLATIONS["responses", "chat"].stream(True, Source("main"))
    for event, last in [
        (chunk({"role": "assistant"}), "response.in_progress"),
        (chunk({"reasoning_content": "H"}), "response.reasoning_summary_text.delta"),
        (chunk({"content": "Y"}), "response.output_text.delta"),
        (part(0, "", id="a", name="f"), "response.output_item.added"),
    ]:
        piece = stream.event(orjson.dumps(event), event).decode()
        assert piece.rstrip().splitlines()[-2] == f"event: {last}"


@pytest.mark.parametrize("endpoint", ["chat", "messages"])
@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("tomorrow", "incomplete", {"reason": "max_output_tokens"}),
    ],
)
def test_how_it_ends(endpoint: Any, reason: str, status: str, details: Json) -> None:
    if endpoint == "chat":
        reply = completion(reason, content="Hi")
        stream = [chunk({"content": "Hi"}), chunk({}, reason)]
    else:
        reply = reply_of({"type": "text", "text": "Hi"}, stop_reason=reason)
        stream = stream_of(reply)
    events = streamed(endpoint, stream, HI)
    assert events[-1]["type"] == f"response.{status}"
    for found in (told(whole(endpoint, reply, HI)), told(events[-1]["response"])):
        assert (found["status"], found["incomplete_details"]) == (status, details)
        assert found["output"] == [message(text("Hi"), status=status)]


def test_a_call_that_is_cut_is_not_told_to_be_whole() -> None:
    reply = reply_of(SAID, WEATHER, TIME, stop_reason="max_tokens")
    for found in (
        whole("messages", reply, HI),
        streamed("messages", stream_of(reply), HI)[-1]["response"],
    ):
        statuses = [item["status"] for item in found["output"]]
        assert statuses == ["completed", "completed", "incomplete"]


def test_a_refusal() -> None:
    wanted = [message({"type": "refusal", "refusal": "No."})]
    events = streamed("chat", [chunk({"refusal": "N"}), chunk({"refusal": "o."}, "stop")], HI)
    assert kinds(events)[3:-1] == [
        *("content_part.added", "refusal.delta", "refusal.delta", "refusal.done"),
        *("content_part.done", "output_item.done"),
    ]
    for found in (whole("chat", completion(refusal="No."), HI), events[-1]["response"]):
        assert told(found)["output"] == wanted
        assert found["status"] == "completed"


CITED = {"start_index": 0, "end_index": 2, "title": "A", "url": "https://host.test/a"}


def test_sources_of_a_text() -> None:
    given = [{"type": "url_citation", "url_citation": CITED}, {"type": "else"}, 1]
    wanted = [message(text("Hi", {"type": "url_citation", **CITED}))]
    stream = [chunk({"content": "Hi"}), chunk({"annotations": given}), chunk({}, "stop")]
    events = streamed("chat", stream, HI)
    assert "output_text.annotation.added" in kinds(events)
    for found in (
        whole("chat", completion(content="Hi", annotations=given), HI),
        events[-1]["response"],
    ):
        assert told(found)["output"] == wanted


TOOLS = [
    {"type": "custom", "name": "run"},
    {
        "type": "namespace",
        "name": "files",
        "description": "",
        "tools": [{"type": "function", "name": "read"}, {"type": "custom", "name": "edit"}],
    },
]


def custom_call(name: str, given: str, **more: Any) -> dict[str, Any]:
    return {"type": "custom_tool_call", "input": given, "call_id": "a", "name": name, **more}


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("run", '{"input":"ls\\n"}', custom_call("run", "ls\n")),
        ("run", '{"command":"ls"}', custom_call("run", '{"command":"ls"}')),
        ("run", "{}", custom_call("run", "")),
        ("files__edit", '{"input":"x"}', custom_call("edit", "x", namespace="files")),
        ("files__read", '{"a":1}', function_call("a", "read", '{"a":1}', namespace="files")),
    ],
)
def test_calls_that_are_not_of_functions(name: str, arguments: str, wanted: Json) -> None:
    body = {**HI, "tools": TOOLS}
    reply = completion("tool_calls", tool_calls=[call("a", name, arguments)])
    events = streamed("chat", [part(0, arguments, id="a", name=name)], body)
    for found in (whole("chat", reply, body), events[-1]["response"]):
        assert told(found)["output"] == [wanted]
    if wanted["type"] == "custom_tool_call":
        said = [e for e in events if e["type"] == "response.custom_tool_call_input.done"]
        assert [event["input"] for event in said] == [wanted["input"]]


def test_a_call_with_broken_arguments_fails() -> None:
    stream = [part(0, '{"a": ' + "1" * 300 + "}}", id="a", name="f"), chunk({}, "tool_calls")]
    last = streamed("chat", stream, HI)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"


def test_texts_in_a_row_are_one_message() -> None:
    reply = reply_of({"type": "text", "text": "A"}, {"type": "text", "text": "B"}, THINKING, SAID)
    for found in (
        whole("messages", reply, HI),
        streamed("messages", stream_of(reply), HI)[-1]["response"],
    ):
        first, _, last = told(found)["output"]
        assert first == message(text("A"), text("B"))
        assert last == message(text("Let me look."))


@pytest.mark.parametrize("endpoint", ["chat", "messages"])
def test_a_stream_of_nothing(endpoint: Any) -> None:
    events = streamed(endpoint, [], HI)
    assert kinds(events) == ["created", "in_progress", "completed"]
    assert events[-1]["response"]["output"] == []


def test_what_is_long_of_a_request_is_not_repeated() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    large = {**tool, "description": "x" * 20_000}
    body = {**HI, "tools": [tool], "metadata": {"a": "b"}, "instructions": "Be brief."}
    found = whole("chat", WHOLE, body)
    assert (found["tools"], found["instructions"]) == ([tool], None)
    found = whole("chat", WHOLE, {**body, "tools": [large]})
    assert (found["tools"], found["metadata"]) == ([], {"a": "b"})
    assert whole("chat", WHOLE, {**body, "metadata": {"a": "x" * 20_000}})["metadata"] == {}


def test_what_waits_for_the_end_is_counted() -> None:
    stream = TRANSLATIONS["responses", "messages"].stream(True, Source("main"))
    said = chunk_of("x" * 100_000)
    data, times = orjson.dumps(said), 0
    while stream.kept <= MOST_KEPT_BYTES:
        stream.event(data, said)
        times += 1
    assert MOST_KEPT_BYTES < times * 100_000 < 2 * MOST_KEPT_BYTES


def chunk_of(said: str) -> Json:
    delta = {"type": "text_delta", "text": said}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def test_too_many_calls() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": TIME}
    with pytest.raises(TooLarge):
        framed("messages", [start] * (MOST_CALLS_OF_TOOLS + 1), HI)


FIRST, SECOND = b"a\\ud83d", b"\\ude00"


def test_half_a_character_is_joined_with_the_other() -> None:
    halves = [
        b'{"choices":[{"delta":{"content":"a\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
    ]
    stream = TRANSLATIONS["responses", "chat"].stream(True, Source("main"))
    for data in halves:
        stream.event(data, parse(data))
    last = orjson.loads(stream.end({}).decode().strip().rpartition("data: ")[2])
    assert last["response"]["output"][0]["content"][0]["text"] == "a\U0001f600"


def test_what_was_spent_is_told_with_the_end() -> None:
    stream = TRANSLATIONS["responses", "chat"].stream(True, Source("main"))
    for event in WHOLE_STREAM:
        stream.event(orjson.dumps(event), event)
    assert stream.begun.next_number > 2
    assert stream.begun.response["status"] == "in_progress"
    spent = {"tokensCharged": 25, "tokensLeft": 75}
    last = orjson.loads(stream.end(spent).decode().strip().rpartition("data: ")[2])
    assert last["vibe"] == spent
    assert last["sequence_number"] > stream.begun.next_number - 2


EVENTS = stream_of(reply_of(THINKING, HIDDEN, SAID, WEATHER, TIME, stop_reason="tool_use"))


@settings(max_examples=40)
@given(st.lists(json_objects | st.sampled_from(EVENTS).flatmap(damaged), max_size=8))
def test_any_events_of_a_message_make_a_response(given: list[Json]) -> None:
    streamed("messages", [*EVENTS[:1], *given], HI)
    streamed("messages", given, HI)


@settings(max_examples=40)
@given(st.lists(json_objects | st.sampled_from(WHOLE_STREAM).flatmap(damaged), max_size=8))
def test_any_chunks_make_a_response(given: list[Json]) -> None:
    streamed("chat", given, HI)


@settings(max_examples=40)
@given(damaged(WHOLE))
def test_any_completion_makes_a_response(reply: Json) -> None:
    Response.model_validate(whole("chat", reply, HI))


@given(damaged(reply_of(THINKING, HIDDEN, SAID, WEATHER, stop_reason="tool_use")))
def test_any_message_makes_a_response(reply: Json) -> None:
    Response.model_validate(whole("messages", reply, HI))
