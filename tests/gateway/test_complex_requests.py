"""Requests are bounded by their structure, which costs time and memory, as well as by their bytes:
honest ones are far from the bounds, and what is beyond them is refused unparsed."""

import json
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.doubles import Double
from tests.gateway.asking import PATHS, PROTOCOLS, body_of, turns, used, user_at

RICH = 10**9
MIB = 1024 * 1024
VALUES = 50_000
DEPTH = 128


def post(user: User, content: bytes, protocol: str = "openai") -> httpx.Response:
    url = f"/{user.api.tenant_id}{PATHS[protocol]}"
    return user.api.client.post(url, content=content, headers=user.headers)


def filled(before: str, piece: str, size: int, after: str) -> bytes:
    """As many pieces, separated by commas, as there is room for."""
    count = (size - len(before) - len(after)) // (len(piece) + 1)
    return (before + ",".join([piece] * count) + after).encode()


HI = '{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}],'
MANY: dict[str, tuple[str, str, str]] = {
    "parts": (
        '{"max_tokens":9,"messages":[{"role":"user","content":[',
        '{"type":"text","text":"a"}',
        "]}]}",
    ),
    "messages": ('{"max_tokens":9,"messages":[', '{"role":"user","content":"a"}', "]}"),
    "tools": (HI + '"tools":[', '{"name":"a","input_schema":{}}', "]}"),
    "objects": (HI + '"metadata":[', "{}", "]}"),
    "lists": (HI + '"x":[', "[]", "]}"),
    "numbers": (HI + '"x":[', "1", "]}"),
    "texts": (HI + '"stop":[', '""', "]}"),
    "names": (HI + '"logit_bias":{', '"a":1', "}}"),
    "calls": (
        '{"max_tokens":9,"messages":[{"role":"assistant","tool_calls":[',
        '{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}',
        "]}]}",
    ),
}


@pytest.mark.parametrize("size", [MIB, 10 * MIB])
@pytest.mark.parametrize("name", MANY)
def test_many_values_are_refused(
    client: httpx.Client, double: Double, name: str, size: int
) -> None:
    before, piece, after = MANY[name]
    content = filled(before, piece, size, after)
    for spoken in PROTOCOLS:
        user = user_at(client, double.url, spoken, tokens=RICH)
        for asked in PROTOCOLS:
            reply = post(user, content, asked)
            assert reply.status_code == 400
            error = reply.json()["error"]
            assert error["type"] == "invalid_request_error"
            assert error["message"] == "Too many values, or nested too deeply"
        assert (double.calls(), used(user)) == ([], 0)


# No JSON, and whoever looked for its strings and values again at each place would not come to an
# end; those that are sent have as many commas as make it worth to look.
COMMAS = b"," * VALUES
NO_JSON = {
    "a string without an end": b'"' + b'\\"' * 100_000 + COMMAS,
    "endings of objects": b"}" * 200_000 + COMMAS,
    "endings of lists": b"]" * 200_000 + COMMAS,
}


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_takes_no_longer(client: httpx.Client, double: Double, name: str) -> None:
    user = user_at(client, double.url)
    assert post(user, NO_JSON[name]).status_code == 400
    charge = f"/{user.api.tenant_id}/charges"
    reply = client.post(charge, content=3 * NO_JSON[name], headers=user.headers)
    assert reply.status_code == 400
    assert post(user, 30 * NO_JSON[name]).status_code == 400
    assert used(user) == 0


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_the_bounds(client: httpx.Client, double: Double, asked: str) -> None:
    user = user_at(client, double.url, asked, tokens=RICH)
    empty = HI.rstrip(",") + "}"
    own = 1 + empty.count("{") + empty.count("[") + empty.count(":") + empty.count(",")
    for values, status in ((VALUES, 200), (VALUES + 1, 400)):
        # A member has two marks, a list one, and so has each number after the first.
        content = filled(HI + '"x":[', "1", 10**6, "]}")[: len(HI) + 5 + 2 * (values - own - 2) - 1]
        assert post(user, content + b"]}", asked).status_code == status
    for depth, status in ((DEPTH, 200), (DEPTH + 1, 400)):
        content = (HI + '"x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}").encode()
        assert post(user, content, asked).status_code == status


def conversation(asked: str) -> dict[str, Any]:
    """An agent's, of 1,000 messages, with 100 tools."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": "a path, a pattern, or what you like"}
            for name in ("path", "pattern", "text", "limit")
        },
        "required": ["path"],
    }
    tools: list[Any] = []
    messages: list[Any] = []
    for number in range(100):
        function: dict[str, Any] = {
            "name": f"tool_{number}",
            "description": "reads, writes, or looks",
        }
        if asked == "openai":
            tools.append({"type": "function", "function": {**function, "parameters": schema}})
        else:
            tools.append({**function, "input_schema": schema})
    arguments = {"path": "a/b", "pattern": '[a-z], {1}: "quoted"', "text": "x" * 400, "limit": 5}
    for number in range(500):
        name, said = f"call_{number}", 'It says: {"a": [1, 2, 3], "b": "c"}\n' * 50
        if asked == "openai":
            called = {"name": "tool_1", "arguments": json.dumps(arguments)}
            calls = [{"id": name, "type": "function", "function": called}]
            messages.append({"role": "assistant", "content": "I look", "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": name, "content": said})
        else:
            call = {"type": "tool_use", "id": name, "name": "tool_1", "input": arguments}
            text = {"type": "text", "text": "I look"}
            messages.append({"role": "assistant", "content": [text, call]})
            result = {"type": "tool_result", "tool_use_id": name, "content": said}
            messages.append({"role": "user", "content": [result]})
    return {"max_tokens": 9, "tools": tools, "messages": [*turns("Look!"), *messages, *turns("So")]}


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_honest_long_conversation(
    client: httpx.Client, double: Double, asked: str, spoken: str
) -> None:
    user = user_at(client, double.url, spoken, tokens=RICH)
    reply = user.api.post(PATHS[asked], conversation(asked), user.headers)
    assert reply.status_code == 200, reply.text


def test_a_bias_of_thousands_of_tokens(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, tokens=RICH)
    bias = {str(number): -100 for number in range(5_000)}
    body = body_of("openai", "Hi", logit_bias=bias)
    reply = user.api.post(PATHS["openai"], body, user.headers)
    assert reply.status_code == 200, reply.text


def with_arguments(*texts: str) -> dict[str, Any]:
    calls, results = [], []
    for number, text in enumerate(texts):
        called = {"name": "f", "arguments": text}
        calls.append({"id": f"call_{number}", "type": "function", "function": called})
        results.append({"role": "tool", "tool_call_id": f"call_{number}", "content": "1"})
    said = {"role": "assistant", "content": None, "tool_calls": calls}
    return {"messages": [*turns("Hi"), said, *results]}


@pytest.mark.parametrize(
    "texts",
    [
        ['{"a":[' + "{}," * 500_000 + "{}]}"],
        ['{"a":[' + "{}," * 5_000 + "{}]}"] * 20,
        ['{"a":' * 500 + "1" + "}" * 500],
    ],
    ids=["many values", "in many calls", "deep"],
)
def test_arguments_are_json_too(client: httpx.Client, double: Double, texts: list[str]) -> None:
    """A string in the request, but an object in its translation."""
    body = with_arguments(*texts)
    user = user_at(client, double.url, "anthropic", tokens=RICH)
    reply = user.api.post(PATHS["openai"], body, user.headers)
    assert (reply.status_code, reply.json()["error"]["message"].split(" ", 1)[1]) == (
        400,
        "has too many values, or is nested too deeply",
    )
    # Nobody reads them where they are passed on.
    user = user_at(client, double.url, tokens=RICH)
    reply = user.api.post(PATHS["openai"], body, user.headers)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_a_models_name_is_bounded(client: httpx.Client, double: Double, asked: str) -> None:
    user = user_at(client, double.url, tokens=RICH)
    body = body_of(asked, "Hi", model="m" * 16_385, stream=True)
    reply = user.api.post(PATHS[asked], body, user.headers)
    assert reply.status_code == 400
    assert "at most 16384 characters" in reply.json()["error"]["message"]


@pytest.mark.parametrize("name", ["metadata", "logit_bias", "user", "stop"])
def test_what_no_model_reads_is_estimated_when_it_is_large(
    client: httpx.Client, double: Double, name: str
) -> None:
    user = user_at(client, double.url, tokens=10_000)
    few, many = {"a": "x" * 10_000}, {"a": "x" * 50_000}
    reply = user.api.post(PATHS["openai"], body_of("openai", "Hi", **{name: few}), user.headers)
    assert reply.status_code == 200
    reply = user.api.post(PATHS["openai"], body_of("openai", "Hi", **{name: many}), user.headers)
    assert reply.status_code == 402
    assert len(double.calls()) == 1
