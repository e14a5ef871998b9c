"""Who may ask for which server prompts, and what they cost."""

import json
from typing import Any

import httpx
import pytest

from tests.api import ADMIN
from tests.doubles import Double
from tests.gateway.asking import ask, turns, used
from tests.gateway.prompts import PROMPTS, RICH, fill, prompting

GROUPS: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({}, {"haiku", "chat"}, {"real-model"}),
    ({"prompts_only": True}, {"haiku", "chat"}, set()),
    ({"models": []}, set(), set()),
    ({"models": ["prompt/haiku"]}, {"haiku"}, set()),
    ({"models": ["prompt/*"]}, {"haiku", "chat"}, set()),
    ({"models": ["real-model"]}, {"haiku", "chat"}, {"real-model"}),
    ({"models": ["prompt/chat"], "prompts_only": True}, {"chat"}, set()),
    ({"endpoints": ["images"]}, set(), set()),
]
KEYS: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({}, {"haiku", "chat"}, {"real-model"}),
    ({"prompts": ["haiku"]}, {"haiku"}, set()),
    ({"prompts": []}, set(), set()),
    ({"prompts": ["haiku"], "models": ["real-model"]}, {"haiku"}, {"real-model"}),
    ({"models": ["real-model"]}, set(), {"real-model"}),
    ({"models": ["prompt/chat"]}, {"chat"}, set()),
]


@pytest.mark.parametrize(("limits", "by_key", "models_by_key"), KEYS)
@pytest.mark.parametrize(("group", "prompts", "models"), GROUPS)
def test_who_may_ask_for_what(
    client: httpx.Client,
    double: Double,
    group: dict[str, Any],
    prompts: set[str],
    models: set[str],
    limits: dict[str, Any],
    by_key: set[str],
    models_by_key: set[str],
) -> None:
    user = prompting(client, double.url, groups={"anonymous": {**RICH, **group}})
    if limits:
        user = user.restricted(tokens=100_000, **limits)
    prompts, models = prompts & by_key, models & models_by_key
    listed = user.api.get("/v1/models", user.headers).json()["data"]
    assert {one["id"] for one in listed} == {f"prompt/{one}" for one in prompts} | models
    for prompt in PROMPTS:
        messages = turns("Hi") if prompt == "chat" else None
        reply = fill(user, prompt=prompt, messages=messages)
        assert reply.status_code == (200 if prompt in prompts else 403), reply.text
    for model in ("real-model", "main/real-model", None):
        assert ask(user, "Hi", model=model).status_code == (200 if models else 403)


def test_the_present_config_counts(client: httpx.Client, double: Double) -> None:
    user = prompting(client, double.url)
    config = {"model": "real-model", "messages": turns("New"), "max_output": 7}
    value = json.loads(user.api.get("/admin/config", ADMIN).text)["config"]
    value["prompts"] = {"haiku": config}
    assert user.api.put_config(value).status_code == 200
    assert fill(user, variables=None).status_code == 200
    body = double.calls()[-1].body
    assert (body["messages"], body["max_tokens"]) == (turns("New"), 7)
    del value["prompts"]
    assert user.api.put_config(value).status_code == 200
    assert fill(user).status_code == 404


def test_a_groups_bounds_are_for_prompts_too(client: httpx.Client, double: Double) -> None:
    user = prompting(client, double.url, groups={"anonymous": {**RICH, "max_output": 20}})
    assert fill(user).status_code == 200
    assert double.calls()[-1].body["max_tokens"] == 20
    user = prompting(client, double.url, groups={"anonymous": {**RICH, "max_input": 5}})
    reply = fill(user)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "input_not_allowed")


def test_a_prompt_costs_its_models_weights(client: httpx.Client, double: Double) -> None:
    models = [{"name": "real-model", "weight": 3}]
    user = prompting(client, double.url, models=models)
    assert fill(user).status_code == 200
    assert used(user) == 75
    listed = user.api.get("/v1/models", user.headers).json()["data"]
    assert [one["vibe"]["input"] for one in listed] == [3, 3, 3]
