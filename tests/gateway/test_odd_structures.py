"""Replies whose parts are as they should be and whose structure is not: what they make us do grows
with their size and no faster, and nothing in them is a fault of ours."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.asking import ask, used, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.processes import Server


@pytest.fixture(autouse=True)
def nothing_goes_wrong(gateway: Server) -> Iterator[None]:
    logged = len(gateway.text())
    yield
    assert "Traceback" not in gateway.text()[logged:]
    assert "[ERROR]" not in gateway.text()[logged:]


def call(arguments: str, index: int = 0, **function: str) -> dict[str, Any]:
    delta = {"tool_calls": [{"index": index, "function": {**function, "arguments": arguments}}]}
    return {"choices": [{"index": 0, "delta": delta}]}


def deep(levels: int) -> str:
    return '{"a":' + "[" * levels + "]" * levels + "}"


NESTED = json.loads("[" * 450 + "]" * 450)
FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
# For clients of Anthropic's protocol; what the stream ends with.
STREAMS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "usage in each of many choices": ([{"choices": [{"usage": {}}] * 4_900}, FINISH], "stop"),
    "JSON in JSON, too deep to be written": (
        [call(json.dumps(deep(300)), name="f"), FINISH],
        "stop",
    ),
    "half a character beside deep nesting": (
        [{"choices": [{"delta": {"content": "Hi \ud83d"}}], "x": NESTED}, FINISH],
        "stop",
    ),
    "strings that are too many where they belong": (
        [call('{"a\\', name="f"), call("\\", 1), call('"' * 40_001, 1), FINISH],
        "error",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(client: httpx.Client, name: str) -> None:
    events, end = STREAMS[name]
    data = [*(json.dumps(event) for event in events), "[DONE]"]
    text = "".join(f"data: {each}\n\n" for each in data).encode()
    with RawProvider(sending(HEAD, text)) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", "anthropic", stream=True, max_tokens=20_000)
    assert reply.status_code == 200
    assert end in reply.text[-150:]
    assert used(user) > 0
    assert user.balance()["tokensHeld"] == 0


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_refusal_with_a_deep_place(client: httpx.Client, protocol: str) -> None:
    place = b"[" * 1_000 + b"]" * 1_000
    body = b'{"detail":[{"loc":["body","top_k",%b],"msg":"too large"}]}' % place
    with RawProvider(whole(body, "400 Bad Request")) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", protocol)
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "too large")
    assert used(user) == 0
