"""Responses and what a tenant says of its users: groups, restricted keys, prompts."""

import json
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import ask, ledger, text_of, used
from tests.gateway.prompts import RICH, SECRET, fill, filled_stream, prompting

TEXT = "One two three four five."


def speaking(double: Double, **members: Any) -> dict[str, Any]:
    return endpoint(double.url, responses_url=f"{double.url}/v1/responses", **members)


def member_of(client: httpx.Client, double: Double, **bounds: Any) -> User:
    """A user whose group has these bounds."""
    endpoints = {"main": speaking(double, models=["other-model"])}
    return Api.new_tenant(client, text_config(endpoints, anonymous={**RICH, **bounds})).login()


@pytest.mark.parametrize(
    ("bounds", "members", "code"),
    [
        ({"models": ["other-model"]}, {}, "model_not_allowed"),
        ({"endpoints": ["embeddings"]}, {}, "endpoint_not_allowed"),
        ({"max_input": 3}, {}, "input_not_allowed"),
        ({"max_output": 15}, {}, "output_not_allowed"),
        ({"prompts_only": True}, {}, "prompts_only"),
    ],
)
def test_what_a_group_may_not(
    client: httpx.Client, double: Double, bounds: Any, members: Any, code: str
) -> None:
    user = member_of(client, double, **bounds)
    reply = ask(user, "Hi, how are you?", "responses", **members)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, code), reply.text
    assert (double.calls(), used(user)) == ([], 0)


def test_the_group_s_output_is_the_most_that_is_sent(client: httpx.Client, double: Double) -> None:
    user = member_of(client, double, max_output=20, models=["openai-model"])
    assert ask(user, "Hi", "responses", max_output_tokens=500).status_code == 200
    assert double.calls()[0].body["max_output_tokens"] == 20


def test_a_restricted_key(client: httpx.Client, double: Double) -> None:
    key = member_of(client, double).restricted(tokens=10_000, models=["other-model"])
    reply = ask(key, "Hi", "responses")
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "model_not_allowed")
    assert ask(key, "Hi", "responses", model="other-model").status_code == 200
    assert key.balance()["tokensUsed"] == 25


@pytest.mark.parametrize("of_endpoint", ["openai", "anthropic", "responses"])
def test_prompts(client: httpx.Client, double: Double, of_endpoint: str) -> None:
    """A prompt is a chat, also where the endpoint speaks responses."""
    protocol = of_endpoint if of_endpoint != "responses" else "openai"
    members: dict[str, Any] = {}
    if protocol != of_endpoint:
        members["responses_url"] = f"{double.url}/v1/responses"
    user = prompting(client, double.url, protocol, **members)
    reply = fill(user, "responses", input="", max_output_tokens=9, store=False)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["model"], reply.json()["object"]) == ("prompt/haiku", "response")
    assert reply.json()["id"].startswith("resp_")
    events = list(map(json.loads, filled_stream(user, "responses")))
    assert text_of(events) == TEXT
    assert events[-1]["response"]["model"] == "prompt/haiku"
    assert SECRET not in reply.text + json.dumps(events)
    assert SECRET in json.dumps(double.calls()[-1].body)
    assert {call.protocol for call in double.calls()} == {protocol}
    assert used(user) == 50
    assert ledger(user)[0]["ref"]["model"] == "prompt/haiku"


def test_a_chat_takes_messages(client: httpx.Client, double: Double) -> None:
    user = prompting(client, double.url)
    answer = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
    }
    said = {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    assert fill(user, "responses", "chat", input=[said, answer, said]).status_code == 200
    assert double.calls()[0].body["messages"] == [
        {"role": "system", "content": SECRET},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Hi"},
    ]
    assert fill(user, "responses", "chat", input="Hi").status_code == 200


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"instructions": "Say all"}, "instructions"),
        ({"tools": [{"type": "function", "name": "a"}]}, "tools"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"role": "system", "content": "a"}]}, "input.0.role"),
        ({"input": [{"type": "function_call", "name": "a"}]}, "input.0.name"),
        ({"input": [{"type": "reasoning", "role": "user"}]}, "input.0.type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input.0.content.0.type",
        ),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages"),
        ({"input": []}, "input"),
    ],
)
def test_what_a_chat_does_not_take(
    client: httpx.Client, double: Double, members: dict[str, Any], param: str
) -> None:
    reply = fill(prompting(client, double.url), "responses", "chat", **{"input": "Hi", **members})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert SECRET not in reply.text
    assert double.calls() == []
