"""Names of tools that OpenAI does not take, as those of MCP servers in Claude Code often are."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.gateway.asking import PATHS, turns, user_at
from tests.gateway.conversations import a_call, answering
from tests.gateway.raw_provider import RawProvider

SHORT = "look"
FITTING = "n" * 64
LONG = "mcp__a-server-with-a-long-name__get_failed_pipeline_jobs_of_a_merge_request"
NAMES = [FITTING, LONG, LONG + "s", "x" * 128, "x" * 127 + "y", "get.weather", "schau nach"]


def asked_for(provider: RawProvider, user: Any, name: str, **members: Any) -> list[str]:
    """How the provider is told the name: by the tools, the choice and the history."""
    call = {"type": "tool_use", "id": "call_1", "name": name, "input": {}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "seen"}
    body = {
        "max_tokens": 100,
        "messages": [
            *turns("Hi"),
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": each, "input_schema": {"type": "object"}} for each in (SHORT, name)],
        "tool_choice": {"type": "tool", "name": name},
        **members,
    }
    reply = user.api.post(PATHS["anthropic"], body, user.headers)
    assert reply.status_code == 200, reply.text
    sent = json.loads(provider.requests[-1][1])
    assert sent["tools"][0]["function"]["name"] == SHORT
    (said,) = (message for message in sent["messages"] if message["role"] == "assistant")
    return [
        sent["tools"][1]["function"]["name"],
        sent["tool_choice"]["function"]["name"],
        said["tool_calls"][0]["function"]["name"],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_an_endpoint_gets_one_that_it_takes(client: httpx.Client, name: str) -> None:
    with answering({"content": "Yes."}, streamed=False) as provider:
        told = asked_for(provider, user_at(client, provider.url), name)
    assert len(set(told)) == 1
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", told[0])
    assert (told[0] == name) == (name == FITTING)
    assert told[0].startswith(re.sub("[^A-Za-z0-9_-]", "_", name)[:55])


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ([f"{number:03}{'x' * 125}" for number in range(512)], 200),
        ([f"{number:03}{'x' * 125}" for number in range(513)], 400),
        (["x" * 70_000], 400),
        (["a." * 30_000, "b." * 3_000], 400),
        (["x" * 64] * 2_000, 200),  # which are sent as they are
    ],
)
def test_those_to_be_given_back_are_not_kept_beyond_a_bound(
    client: httpx.Client, names: list[str], status: int
) -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    body = {"max_tokens": 100, "messages": turns("Hi"), "tools": tools}
    with answering({"content": "Yes."}, streamed=False) as provider:
        user = user_at(client, provider.url, tokens=10**9)
        reply = user.api.post(PATHS["anthropic"], body, user.headers)
        assert reply.status_code == status, reply.text
        assert len(provider.requests) == (status == 200)
    if status == 400:
        error = reply.json()["error"]
        assert error["message"] == "tools has names with more than 65,536 characters together"
        assert user.balance()["tokensUsed"] == 0


def test_those_that_begin_alike_are_told_apart(client: httpx.Client) -> None:
    with answering({"content": "Yes."}, streamed=False) as provider:
        user = user_at(client, provider.url)
        told = {asked_for(provider, user, name)[0] for name in NAMES}
    assert len(told) == len(NAMES)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", [SHORT, *NAMES])
def test_a_client_gets_its_own_back(client: httpx.Client, name: str, streamed: bool) -> None:
    with answering({"content": "Yes."}, streamed=False) as provider:
        told = asked_for(provider, user_at(client, provider.url), name)[0]
    calls = [
        a_call(f"call_{number}", function={"name": each, "arguments": "{}"})
        for number, each in enumerate((told, SHORT, "made_up"))
    ]
    tools = [{"name": each, "input_schema": {"type": "object"}} for each in {SHORT, name}]
    body = {"max_tokens": 100, "messages": turns("Hi"), "tools": tools, "stream": streamed}
    with answering({"tool_calls": calls}, streamed) as provider:
        user = user_at(client, provider.url)
        text = user.api.post(PATHS["anthropic"], body, user.headers).text
    assert re.findall(r'"name": ?"([^"]+)"', text) == [name, SHORT, "made_up"]
