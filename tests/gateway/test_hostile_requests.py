"""Requests that are too large, too deep or no requests at all: a refusal, never a fault of ours."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.doubles import Double
from tests.gateway.asking import PATHS, PROTOCOLS, body_of, turns, used, user_at
from tests.processes import Server

MOST_BYTES = 10 * 1024 * 1024
RICH = 10**8


@pytest.fixture(autouse=True)
def nothing_goes_wrong(gateway: Server) -> Iterator[None]:
    logged = len(gateway.text())
    yield
    assert "Traceback" not in gateway.text()[logged:]
    assert "[ERROR]" not in gateway.text()[logged:]


def post(user: User, content: bytes, protocol: str = "openai") -> httpx.Response:
    url = f"/{user.api.tenant_id}{PATHS[protocol]}"
    return user.api.client.post(url, content=content, headers=user.headers)


def assert_charged_as_answered(
    user: User, double: Double, before: int, reply: httpx.Response
) -> None:
    """The newest of the double's calls, after the first `before`, is what this reply came of, and
    what the provider used is charged; what it refused, or did not get, is 400 and free."""
    calls = double.calls()[before:]
    answered = sum(call.used for call in calls)
    assert len(calls) <= 1
    assert reply.status_code == (200 if answered else 400), reply.text
    request_id = reply.headers["x-request-id"]
    entries = [entry for entry in user.ledger() if entry["ref"].get("requestId") == request_id]
    assert -sum(entry["tokens"] for entry in entries) == answered
    assert user.balance()["tokensHeld"] == 0


NO_JSON = [
    *(b"{", b"[]", b"null", b"5", b'"text"', b"\xff\xfe", b"{'a':1}", b'{"a":NaN}', b"\x00"),
    b'{"messages":[{"role":"user","content":"\\ud83d"}]}',
    b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"messages":' + b"[" * 1_000_000,
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("content", NO_JSON, ids=lambda content: repr(content[:30]))
def test_what_is_no_json(
    client: httpx.Client, double: Double, content: bytes, protocol: str
) -> None:
    user = user_at(client, double.url)
    reply = post(user, content, protocol)
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid JSON"})
    assert (double.calls(), used(user)) == ([], 0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_largest_request(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    user = user_at(client, double.url, protocol, tokens=RICH)
    empty = len(json.dumps(body_of(protocol, "", stream=streamed)))
    for size, status in ((MOST_BYTES, 200), (MOST_BYTES + 1, 413), (2 * MOST_BYTES, 413)):
        content = json.dumps(body_of(protocol, "a" * (size - empty), stream=streamed)).encode()
        assert len(content) == size
        reply = post(user, content, protocol)
        assert reply.status_code == status
        if status == 413:
            assert reply.json() == {"error": "Payload Too Large"}
    (call,) = double.calls()
    assert len(call.body["messages"][0]["content"]) == MOST_BYTES - empty


def test_the_largest_request_in_chunks(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, tokens=RICH)
    url = f"/{user.api.tenant_id}{PATHS['openai']}"
    for size, status in ((9 * 1024 * 1024, 200), (MOST_BYTES + 1, 413)):
        pieces = [b'{"messages":[{"role":"user","content":"', b"a" * size, b'"}]}']
        reply = client.post(url, content=iter(pieces), headers=user.headers)
        assert reply.status_code == status


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


# A request with ... where the nested value goes.
DEEP: dict[str, str] = {
    "a message": '{"messages":[...]}',
    "a message's member": '{"messages":[{"role":"user","content":"Hi","x":...}]}',
    "content": '{"messages":[{"role":"user","content":...}]}',
    "a part": '{"messages":[{"role":"user","content":[{"type":"text","text":"Hi","x":...}]}]}',
    "a part's text": '{"messages":[{"role":"user","content":[{"type":"text","text":...}]}]}',
    "a tool": '{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function",'
    '"function":{"name":"f","parameters":{"type":"object","properties":...}}}]}',
    "a tool of Anthropic's": '{"messages":[{"role":"user","content":"Hi"}],'
    '"tools":[{"name":"f","input_schema":{"type":"object","properties":...}}]}',
    "an input": '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":'
    '[{"type":"tool_use","id":"a","name":"f","input":...}]},{"role":"user","content":'
    '[{"type":"tool_result","tool_use_id":"a","content":"1"}]}]}',
    "arguments": '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,'
    '"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":TEXT}}]},'
    '{"role":"tool","tool_call_id":"a","content":"1"}]}',
    "a member": '{"messages":[{"role":"user","content":"Hi"}],"x":...}',
    "metadata": '{"messages":[{"role":"user","content":"Hi"}],"metadata":...}',
    "stop": '{"messages":[{"role":"user","content":"Hi"}],"stop":...}',
    "stream_options": '{"messages":[{"role":"user","content":"Hi"}],"stream_options":...}',
    "thinking": '{"messages":[{"role":"user","content":"Hi"}],"thinking":...}',
    "system": '{"messages":[{"role":"user","content":"Hi"}],"system":...}',
    "response_format": '{"messages":[{"role":"user","content":"Hi"}],"response_format":'
    '{"type":"json_schema","json_schema":{"name":"f","schema":...}}}',
}


@pytest.mark.parametrize("levels", [100, 300, 2000])
@pytest.mark.parametrize("name", DEEP)
def test_a_deep_request(client: httpx.Client, double: Double, name: str, levels: int) -> None:
    """Passed on, or refused with 400; what the double says of it is not the point."""
    body = DEEP[name].replace("...", nested(levels)).replace("TEXT", json.dumps(nested(levels)))
    for spoken in PROTOCOLS:
        user = user_at(client, double.url, spoken)
        for asked in PROTOCOLS:
            for members in ('{"max_tokens":9,', '{"max_tokens":9,"stream":true,'):
                before = len(double.calls())
                reply = post(user, (members + body[1:]).encode(), asked)
                assert_charged_as_answered(user, double, before, reply)
                was_sent = len(double.calls()) > before
                if spoken == asked and levels == 100:
                    assert was_sent
                if levels == 2000 and name != "arguments":  # which are a text
                    assert not was_sent


def test_deep_parts_are_measured(client: httpx.Client, double: Double) -> None:
    """Results of tools have parts, which may have parts."""
    content: Any = [{"type": "image", "source": {"type": "base64", "data": "A" * 9_000}}]
    for _ in range(60):
        content = [{"type": "tool_result", "tool_use_id": "a", "content": content}]
    user = user_at(client, double.url, "anthropic", tokens=2_000)
    body = {"max_tokens": 9, "messages": turns(content)}
    reply = post(user, json.dumps(body).encode(), "anthropic")
    assert reply.status_code == 402, "the image is 1,600 tokens, and there is the rest"
    assert double.calls() == []


# Whoever speaks: what a call may cost, or where it goes, cannot be told.
REFUSED: list[dict[str, Any]] = [
    {},
    {"messages": []},
    {"messages": {}},
    {"messages": "Hi"},
    {"messages": turns([{"type": "document", "source": {"type": 5, "content": [5]}}])},
    {"messages": turns("Hi"), "model": 5},
    {"messages": turns("Hi"), "stream": "yes"},
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_a_request_that_nobody_is_asked(
    client: httpx.Client, double: Double, number: int, asked: str
) -> None:
    for spoken in PROTOCOLS:
        user = user_at(client, double.url, spoken)
        reply = user.api.post(PATHS[asked], {"max_tokens": 9, **REFUSED[number]}, user.headers)
        error = (reply.status_code, reply.json()["error"]["type"])
        assert error == (400, "invalid_request_error")
        assert (double.calls(), used(user)) == ([], 0)


# The provider may see these as they are; some cannot be translated.
ODD: list[dict[str, Any]] = [
    {"messages": [5]},
    {"messages": [None]},
    {"messages": [{}]},
    {"messages": turns(5)},
    {"messages": turns([5])},
    {"messages": turns([{"type": 5}])},
    {"messages": turns([{"type": "image_url", "image_url": 5}])},
    {"messages": turns([{"type": "image", "source": 5}])},
    {"messages": turns("Hi"), "model": "m" * 100_000},
    {"messages": turns("Hi"), "model": "main/🎉 \n/"},
    {"messages": turns("Hi"), "stream_options": [5]},
    {"messages": turns("Hi"), "stream": True, "stream_options": {"include_usage": "yes"}},
    {"messages": turns("Hi"), "tools": 5},
    {"messages": turns("Hi"), "tools": [5]},
    {"messages": turns("Hi"), "tools": [{"type": 5, "function": 5}]},
    {"messages": turns("Hi"), "thinking": {"budget_tokens": "many"}},
    {"messages": turns("Hi"), "thinking": 5, "output_config": 5},
    {"messages": turns("Hi"), "reasoning_effort": {"a": 1}},
    {"messages": turns("Hi"), "limit": 5, "": 5},
]


@pytest.mark.parametrize("number", range(len(ODD)))
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_odd_request(client: httpx.Client, double: Double, number: int, asked: str) -> None:
    for spoken in PROTOCOLS:
        user = user_at(client, double.url, spoken, models=["*"])
        body, before = {"max_tokens": 9, **ODD[number]}, len(double.calls())
        reply = user.api.post(PATHS[asked], body, user.headers)
        assert_charged_as_answered(user, double, before, reply)
        if reply.status_code == 400:
            assert reply.json()["error"]["type"] == "invalid_request_error"


HEADERS = [
    "authorization",
    "content-type",
    "x-api-key",
    "x-request-id",
    "idempotency-key",
    "x-stainless-arch",
    "x-stainless-helper-method",
    "x-stainless-os",
    "x-stainless-retry-count",
    "x-stainless-timeout",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "openai-organization",
    "openai-project",
    "user-agent",
]


@pytest.mark.parametrize("path", [*PATHS.values(), "/v1/models", "/v1/v1/messages"])
def test_a_preflight_lets_the_sdks_of_browsers_through(
    client: httpx.Client, double: Double, path: str
) -> None:
    user = user_at(client, double.url)
    method = "GET" if path.endswith("models") else "POST"
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(HEADERS),
    }
    reply = client.options(f"/{user.api.tenant_id}{path}", headers=asked)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert method in reply.headers["access-control-allow-methods"]
    allowed = reply.headers["access-control-allow-headers"].split(", ")
    assert allowed == HEADERS
