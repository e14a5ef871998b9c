"""The configs of docs/providers.md, as they stand there but for the host, each against a double of
that server: nothing is asked twice, and what is reported is charged."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Tool
from tests.doubles.servers import SERVERS, ServerDouble
from tests.gateway.asking import (
    PATHS,
    PROTOCOLS,
    ask,
    objects,
    stream,
    text_of,
    turns,
    used,
    user_of,
)
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "providers.md").read_text()
CONFIGS: dict[str, dict[str, Any]] = {
    name: json.loads(config)
    for name, config in re.findall(r"\n## ([^\n]+)\n\n```json\n(.*?)```", PAGE, re.DOTALL)
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
TOOLS_OF_ANTHROPIC = [{"name": "weather", "input_schema": {"type": "object"}}]
TWO = (Tool("weather", {"city": "Zürich"}), Tool("weather", {"city": "Bern"}))
ARGUMENTS = [{"city": "Zürich"}, {"city": "Bern"}]
USED = 25


def test_each_server_has_a_config() -> None:
    assert list(CONFIGS) == list(SERVERS)


@pytest.fixture(params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def double(name: str) -> Iterator[ServerDouble]:
    with ServerDouble(SERVERS[name]) as double:
        yield double


@pytest.fixture
def user(client: httpx.Client, double: ServerDouble, name: str) -> User:
    config = CONFIGS[name]
    url = urlsplit(config["url"])
    own = httpx.URL(double.url)
    config = {**config, "url": url._replace(scheme="http", netloc=own.netloc.decode()).geturl()}
    if name == "DeepSeek":
        config["models"] = []  # what it costs is for a test of its own
    return user_of(client, {"main": config})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_text(user: User, double: ServerDouble, protocol: str) -> None:
    reply = ask(user, "#x", protocol, temperature=0.5)
    assert reply.status_code == 200, reply.text
    assert "One two three four five." in reply.text
    assert used(user) == USED
    events = objects(stream(user, "#x", protocol, temperature=0.5))
    assert text_of(events) == "One two three four five."
    assert used(user) == 2 * USED
    assert len(double.calls("x")) == 2
    assert not any(entry["ref"].get("estimated") for entry in user.ledger())


def reasoned(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Each answer begins with a thought, as those of models that show theirs."""
    for choice in sent.get("choices") or []:
        said = choice.get("message") or choice.get("delta") or {}
        if "role" in said:
            said["reasoning_content"] = "Hm."
    return [sent]


def test_calls_of_tools(user: User, double: ServerDouble) -> None:
    """And what they gave, in the next turn, with what the answer had of its own."""
    double.script("x", Answer(pieces=(), tools=TWO, quirks=(reasoned,)), Answer())
    said = ask(user, "#x", tools=TOOLS).json()["choices"][0]["message"]
    calls = said["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == ARGUMENTS
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "Sun"} for one in calls]
    answer = {"role": "assistant", "content": None, "tool_calls": calls}
    body = {"messages": [*turns("#x"), answer, *results], "tools": TOOLS}
    assert user.api.post(PATHS["openai"], body, user.headers).status_code == 200
    assert len(double.calls("x")) == 2


def test_calls_of_tools_for_clients_of_anthropic(
    user: User, double: ServerDouble, name: str
) -> None:
    double.script("x", Answer(pieces=(), tools=TWO, quirks=(reasoned,)), Answer())
    events = objects(stream(user, "#x", "anthropic", tools=TOOLS_OF_ANTHROPIC))
    blocks = blocks_of(events)
    calls = [one for one in blocks if one["type"] == "tool_use"]
    assert [one["input"] for one in calls] == ARGUMENTS
    (reason,) = [one["delta"]["stop_reason"] for one in events if one["type"] == "message_delta"]
    assert reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "Sun"} for one in calls]
    messages = [
        *turns("#x"),
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    body = {"messages": messages, "tools": TOOLS_OF_ANTHROPIC, "max_tokens": 100}
    reply = user.api.post(PATHS["anthropic"], body, user.headers)
    assert reply.status_code == 200, reply.text
    _, second = double.calls("x")
    answer = second.body["messages"][1]
    assert ("reasoning_content" in answer) == CONFIGS[name].get("returns_state", True)
    kept = [call.get("extra_content") for call in answer["tool_calls"]]
    assert all(kept) == (name == "Gemini")


def blocks_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a message has, as its SDK puts it together."""
    blocks: list[dict[str, Any]] = []
    texts: list[str] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            texts.append("")
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            texts[-1] += delta.get("partial_json", "")
            for member in ("text", "thinking", "signature"):
                if member in delta:
                    blocks[-1][member] = blocks[-1].get(member, "") + delta[member]
    for block, text in zip(blocks, texts, strict=True):
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
    return blocks


@pytest.mark.parametrize("streamed", [False, True])
def test_what_it_refuses_it_says(user: User, double: ServerDouble, streamed: bool) -> None:
    double.script("x", Answer(status=400))
    reply = ask(user, "#x", stream=streamed)
    assert reply.status_code == 400
    message = reply.json()["error"]["message"]
    assert "prompt" in message or message == "Extra inputs are not permitted", message
    assert used(user) == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_reasoned_is_charged(
    user: User, double: ServerDouble, name: str, streamed: bool
) -> None:
    double.script("x", Answer(reasoning_tokens=30))
    reply = ask(user, "#x", stream=streamed)
    assert reply.status_code == 200, reply.text
    assert used(user) == USED + 30


def test_a_stream_that_fails_has_no_success(user: User, double: ServerDouble) -> None:
    double.script("x", Answer(error_at=3))
    data = stream(user, "#x")
    assert "error" in json.loads(data[-1])
    assert "[DONE]" not in data
    assert used(user) > 0


def test_what_deepseek_has_cached_costs_less(client: httpx.Client) -> None:
    with ServerDouble(SERVERS["DeepSeek"]) as double:
        config = CONFIGS["DeepSeek"] | {"url": double.url + SERVERS["DeepSeek"].path}
        user = user_of(client, {"main": config})
        double.script("x", Answer(input_tokens=100, cached_tokens=60))
        assert ask(user, "#x").headers["x-tokens-charged"] == str(40 * 2 + 12 + 5 * 3)
