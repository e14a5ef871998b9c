"""How many tokens a message has: by its provider, or by our estimate."""

from typing import Any

import anthropic
import httpx
import pytest

from tests.api import ADMIN, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import estimate, turns, user_at, user_of

PATH = "/v1/messages/count_tokens"
ESTIMATED = {"vibe": {"estimated": True}}


def count(user: User, prompt: str = "#x", **members: Any) -> httpx.Response:
    body = {"messages": turns(prompt), **members}
    return user.api.post(PATH, body, {**user.headers, "anthropic-version": "2026-10-21"})


def test_the_provider_counts(client: httpx.Client, double: Double) -> None:
    """And is told what the count is of, and nothing else."""
    user = user_at(client, double.url, "anthropic", query={"a": "b"}, headers={"x-own": "1"})
    double.script("x", Answer(input_tokens=14))
    tools: list[Any] = [{"name": "f", "input_schema": {"type": "object"}}]
    base = f"{client.base_url}/{user.api.tenant_id}"
    with anthropic.Anthropic(api_key=user.api_key, base_url=base, max_retries=0) as sdk:
        found = sdk.messages.count_tokens(
            model="anthropic-model", messages=[{"role": "user", "content": "#x"}], tools=tools
        )
    assert found.input_tokens == 14
    reply = count(user, max_tokens=9, stream=True, metadata={"user_id": "a"}, system="Be brief")
    assert reply.json() == {"input_tokens": 14}
    assert '"requests"' in reply.headers["ratelimit"]
    assert user.api.post("/v1" + PATH, {"messages": turns("#x")}, user.headers).is_success
    first, second, _ = double.calls("x")
    assert first.body["tools"] == tools
    assert second.body.keys() == {"model", "messages", "system"}
    assert (second.path, second.query, second.headers["x-own"]) == (PATH, "a=b", "1")
    assert second.headers["anthropic-version"] == "2026-10-21"
    assert [entry["op"] for entry in user.ledger()] == ["grant"]


ANSWERS = [
    Answer(status=404),
    Answer(status=401),
    Answer(status=429),
    Answer(status=500),
    Answer(cut_at=0),
    Answer(raw_body=b"<html>"),
    Answer(raw_body=b'{"input_tokens": "14"}'),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_where_it_does_not_we_estimate(
    client: httpx.Client, double: Double, answer: Answer
) -> None:
    user = user_at(client, double.url, "anthropic")
    double.script("x", answer)
    reply = count(user)
    assert reply.json() == {"input_tokens": estimate(turns("#x")), **ESTIMATED}


def test_a_silent_provider_is_not_waited_for(hasty_client: httpx.Client, double: Double) -> None:
    user = user_at(hasty_client, double.url, "anthropic")
    double.script("x", Answer(stop_at=0))
    assert count(user).json() == {"input_tokens": estimate(turns("#x")), **ESTIMATED}


def test_of_an_endpoint_of_the_other_protocol_we_estimate(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, "openai", tokens=0)
    reply = count(user, "#x " * 100)
    assert reply.json() == {"input_tokens": estimate(turns("#x " * 100)), **ESTIMATED}
    assert double.calls() == []


def test_what_is_wrong_with_the_request_its_provider_says(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, "anthropic")
    double.script("x", Answer(status=400))
    reply = count(user)
    assert (reply.status_code, reply.json()["type"]) == (400, "error")
    assert reply.json()["error"]["message"] == "The double answers 400."


REFUSED: list[tuple[dict[str, Any], int, str | None]] = [
    ({"messages": []}, 400, None),
    ({"model": "other"}, 404, "model_not_found"),
    ({"container": "c"}, 400, None),
    ({"service_tier": "priority"}, 400, None),
]


@pytest.mark.parametrize(("members", "status", "code"), REFUSED)
def test_a_message_that_would_be_refused_is(
    client: httpx.Client, double: Double, members: dict[str, Any], status: int, code: str | None
) -> None:
    user = user_at(client, double.url, "anthropic")
    reply = count(user, **members)
    assert (reply.status_code, reply.json()["error"].get("code")) == (status, code), reply.text
    assert double.calls() == []


def test_it_is_for_whom_the_message_is(client: httpx.Client, double: Double) -> None:
    endpoints = {"main": endpoint(double.url, "anthropic", models=["other"])}
    user = user_of(client, endpoints)
    key = user.restricted(tokens=5, models=["other"])
    assert count(key).json()["error"]["code"] == "model_not_allowed"
    assert count(key, model="other").is_success
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"]["models"] = ["other"]
    assert user.api.put_config(config).is_success
    assert count(user).status_code == 403
    assert count(user, model="other").is_success


def test_it_is_a_request_of_the_rate_limit(client: httpx.Client, double: Double) -> None:
    user = user_of(client, {"main": endpoint(double.url, "anthropic")})
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"]["rate_limit"] = 2
    assert user.api.put_config(config).is_success
    user = user.api.login()
    assert [count(user).status_code for _ in range(3)] == [200, 200, 429]
    assert len(double.calls("x")) == 2
