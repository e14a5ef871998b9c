"""Chat completions, whole and in chunks, and what becomes of them for Anthropic's clients."""

from collections.abc import Iterable
from typing import Any

import anthropic
import httpx2
import orjson
from anthropic.types import Message

from server.providers.for_messages.stream import MessageStream
from server.providers.sse import frame

USAGE = {
    "prompt_tokens": 119,
    "completion_tokens": 10,
    "total_tokens": 129,
    "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
NO_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


def call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def completion(finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}}
    return {
        "id": "chatcmpl-9f",
        "object": "chat.completion",
        "created": 1795390000,
        "model": "some-model",
        "choices": [{**choice, "logprobs": None, "finish_reason": finish_reason}],
        "usage": USAGE,
    }


WHOLE = completion(
    "tool_calls",
    content="Let me look.",
    reasoning_content="Hm.",
    tool_calls=[call("a", "weather", '{"city": "Köln"}'), call("b", "time", "")],
)
MESSAGE = {
    "id": "msg_chatcmpl-9f",
    "type": "message",
    "role": "assistant",
    "model": "some-model",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "b", "name": "time", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 19,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 90,
        "output_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}


def chunk(delta: Any, finish_reason: Any = None, usage: Any = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-9f",
        "object": "chat.completion.chunk",
        "created": 1795390000,
        "model": "some-model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        "usage": usage,
    }


def message_delta(message: dict[str, Any]) -> dict[str, Any]:
    """The delta that has a whole message."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    numbered = [{"index": n, **c} if isinstance(c, dict) else c for n, c in enumerate(calls)]
    return {**message, "tool_calls": numbered}


def part(index: Any, arguments: str, **more: Any) -> dict[str, Any]:
    """A chunk with a part of a call; `name` and `id` begin it."""
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk(
        {"tool_calls": [{"index": index, **more, "function": {**name, "arguments": arguments}}]}
    )


WHOLE_STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "H"}),
    chunk({"reasoning_content": "m."}),
    chunk({"content": "Let me "}),
    chunk({"content": "look."}),
    part(0, "", id="a", type="function", name="weather"),
    part(0, '{"city": '),
    part(0, '"Köln"}'),
    part(1, "", id="b", type="function", name="time"),
    chunk({}, "tool_calls"),
    {**chunk({}), "choices": [], "usage": USAGE},
]


def events(chunks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    stream = MessageStream()
    return [event for each in chunks for event in stream.from_chunk(each)] + stream.finish()


def accumulated(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What Anthropic's SDK makes of the translated stream."""
    body = b"".join(frame(orjson.dumps(event), event["type"]) for event in events(chunks))
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body))
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(api_key="key", http_client=http) as client,
        client.messages.stream(
            model="some-model", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        message = stream.get_final_message()
    Message.model_validate(message.model_dump())
    return message.model_dump(exclude_unset=True, exclude={"stop_details"})
