"""Conversations with tools: what a provider answers, and what a client makes of it for the next
turn."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.gateway.asking import ask, objects, stream, turns
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]


def a_call(call_id: str, **members: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": '{"at":1}'}
    return {"id": call_id, "type": "function", "function": function, **members}


_CALL = a_call("call_1")
THOUGHT = {"google": {"thought_signature": "AY89+a/b==" * 100}}
STATES: dict[str, dict[str, Any]] = {
    "reasoning_content": {"reasoning_content": "Hm.", "tool_calls": [_CALL]},
    "reasoning": {"reasoning": "Hm. \U0001f914", "tool_calls": [_CALL]},
    "reasoning and text": {"reasoning_content": "Hm.", "content": "I look.", "tool_calls": [_CALL]},
    "reasoning without a call": {"reasoning_content": "Hm.", "content": "It is 1."},
    "a thought's signature": {"tool_calls": [a_call("call_1", extra_content=THOUGHT)]},
    "one of two calls": {
        "tool_calls": [a_call("a", extra_content=THOUGHT), a_call("functions.look:1")]
    },
    "hidden reasoning": {
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "AY8=", "id": "call_1"}],
        "tool_calls": [_CALL],
    },
    "reasoning with details": {
        "reasoning": "Hm.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "signature": "EqQ=", "index": 0},
            {"type": "reasoning.encrypted", "data": "AY8=", "id": "call_1", "index": 0},
            {"type": "reasoning.encrypted", "data": "AY9=", "id": "call_2", "index": 0},
        ],
        "tool_calls": [_CALL],
    },
    "signed thinking": {
        "reasoning_content": "Hm.",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQ="},
            {"type": "redacted_thinking", "data": "EqQ="},
        ],
        "content": "I look.",
        "tool_calls": [_CALL],
    },
    "all of that": {
        "reasoning_content": "Hm.",
        "tool_calls": [a_call("functions.look:0", extra_content=THOUGHT), _CALL],
    },
}
"""Answers of chat completions with something that the endpoint wants back in the next turn."""


@contextmanager
def answering(message: dict[str, Any], streamed: bool) -> Iterator[RawProvider]:
    """A provider of chat completions whose answers are all this."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "tool_calls"}
    if not streamed:
        reply = {"choices": [{**choice, "message": message}], "usage": USAGE}
        answer = whole(json.dumps(reply).encode())
    else:
        numbered = [{"index": n, **each} for n, each in enumerate(message.get("tool_calls", []))]
        delta = {**message, **({"tool_calls": numbered} if numbered else {})}
        begun = {"choices": [{**choice, "delta": delta, "finish_reason": None}]}
        ended = {"choices": [{**choice, "delta": {}}], "usage": USAGE}
        data = [json.dumps(begun), json.dumps(ended), "[DONE]"]
        answer = sending(HEAD + "".join(f"data: {each}\n\n" for each in data).encode())
    with RawProvider(answer) as provider:
        yield provider


def content_of(user: Any, streamed: bool, prompt: str = "Hi") -> list[dict[str, Any]]:
    """The blocks of an answer, as an SDK puts those of a stream together."""
    if not streamed:
        reply = ask(user, prompt, "anthropic", tools=TOOLS)
        assert reply.status_code == 200, reply.text
        return list(reply.json()["content"])
    blocks: list[dict[str, Any]] = []
    texts: list[str] = []
    for event in objects(stream(user, prompt, "anthropic", tools=TOOLS)):
        delta = event.get("delta", {})
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
            texts.append("")
        elif event["type"] == "content_block_delta":
            texts[-1] += delta.get("partial_json", "")
            for name in {"text", "thinking", "signature"} & delta.keys():
                blocks[-1][name] += delta[name]
        elif event["type"] == "content_block_stop" and blocks[-1]["type"] == "tool_use":
            blocks[-1]["input"] = json.loads(texts[-1] or "{}")
    return blocks


def conversation(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With this answer and the results of its calls."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "seen"}
        for block in content
        if block["type"] == "tool_use"
    ]
    said = {"role": "assistant", "content": content}
    return [*turns("Hi"), said, {"role": "user", "content": results or "And?"}]
