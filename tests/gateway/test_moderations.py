"""Moderations: passed through to an endpoint that has them, for nothing."""

from typing import Any

import httpx
import openai
import pytest

from server.tenants.text import TextEndpoint
from tests.api import ADMIN, User
from tests.doubles import Answer, Double
from tests.endpoints import PROVIDER_KEY, endpoint
from tests.gateway.asking import user_at, user_of

PATH = "/v1/moderations"


def moderator(client: httpx.Client, double: Double, **members: Any) -> User:
    return user_at(client, double.url, moderations_url=double.url + PATH, tokens=0, **members)


def moderate(user: User, given: Any, **members: Any) -> httpx.Response:
    return user.api.post(PATH, {"input": given, **members}, user.headers)


def test_openais_sdk_gets_them(client: httpx.Client, double: Double) -> None:
    user = moderator(client, double, headers={"x-own": "1"}, query={"a": "b"})
    url = f"{client.base_url}/{user.api.tenant_id}/v1"
    with openai.OpenAI(api_key=user.api_key, base_url=url, max_retries=0) as sdk:
        made = sdk.moderations.create(input=["#x", "violence"], model="omni-moderation-latest")
    assert [one.flagged for one in made.results] == [False, True]
    reply = moderate(user, "#x")
    assert '"requests"' in reply.headers["ratelimit"]
    assert "openai-organization" not in reply.headers
    assert user.api.post("/v1" + PATH, {"input": "#x"}, user.headers).is_success
    first, second, _ = double.calls("x")
    assert first.body["model"] == "omni-moderation-latest"
    assert second.body == {"input": "#x"}
    assert (second.query, second.headers["x-own"]) == ("a=b", "1")
    assert second.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert [entry["op"] for entry in user.ledger()] == ["grant"]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"url": "https://api.openai.com/v1/chat/completions"}, "https://api.openai.com/v1"),
        ({"url": "https://eu.api.openai.com/v1/chat/completions"}, "https://eu.api.openai.com/v1"),
        ({"url": "https://api.openai.com/v1/messages"}, None),
        ({"url": "https://example.com/v1/chat/completions"}, None),
        ({"url": "https://a.b/v1", "moderations_url": "https://a.b/moderations"}, "https://a.b"),
    ],
)
def test_which_endpoints_have_them(members: dict[str, str], found: str | None) -> None:
    url = TextEndpoint.model_validate(members).url_of_moderations
    assert url == (found and f"{found}/moderations")


def test_a_tenant_that_has_none(client: httpx.Client, double: Double) -> None:
    reply = moderate(user_at(client, double.url), "a")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "input"), ({"input": ""}, "input"), ({"input": "a", "store": True}, "store")],
)
def test_a_wrong_body_is_400_by_its_member(
    client: httpx.Client, double: Double, body: dict[str, Any], param: str
) -> None:
    user = moderator(client, double)
    reply = user.api.post(PATH, body, user.headers)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert double.calls() == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(status=400, code="bad_input"), 400, "bad_input"),
        (Answer(status=401), 502, "provider_auth_error"),
        (Answer(status=429), 429, "rate_limit_exceeded"),
        (Answer(cut_at=0), 502, "provider_error"),
        (Answer(raw_body=b'{"error": {"message": "No"}}'), 502, "provider_error"),
    ],
)
def test_failures(
    client: httpx.Client, double: Double, answer: Answer, status: int, code: str
) -> None:
    user = moderator(client, double)
    double.script("x", answer)
    reply = moderate(user, "#x")
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"endpoints": ["embeddings"]}, "endpoint_not_allowed"),
        ({"prompts_only": True}, "prompts_only"),
        ({"models": []}, None),
    ],
)
def test_who_may(
    client: httpx.Client, double: Double, members: dict[str, Any], code: str | None
) -> None:
    user = moderator(client, double)
    key = user.restricted(tokens=5, models=["openai-model"])
    assert moderate(key, "#x").json()["error"]["code"] == "model_not_allowed"
    assert moderate(user.restricted(tokens=5), "#x").is_success
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"] |= {"rate_limit": 10_000, **members}
    assert user.api.put_config(config).is_success
    reply = moderate(user, "#x")
    assert reply.status_code == (403 if code else 200)
    assert reply.json().get("error", {}).get("code") == code


def test_it_is_a_request_of_the_rate_limit(client: httpx.Client, double: Double) -> None:
    user = moderator(client, double)
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"]["rate_limit"] = 2
    assert user.api.put_config(config).is_success
    user = user.api.login()
    assert [moderate(user, "#x").status_code for _ in range(3)] == [200, 200, 429]
    assert user.api.post(PATH, {"input": "a"}).status_code == 401


def test_a_silent_provider_is_not_waited_for(hasty_client: httpx.Client, double: Double) -> None:
    user = moderator(hasty_client, double)
    double.script("x", Answer(stop_at=0))
    reply = moderate(user, "#x")
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "provider_timeout")


def test_a_large_answer_comes_whole(client: httpx.Client, double: Double) -> None:
    user = moderator(client, double)
    assert len(moderate(user, ["#x"] * 2_000).json()["results"]) == 2_000


@pytest.mark.parametrize(("member", "status"), [(b"results", 200), (b"error", 502)])
def test_an_answer_of_very_many_values_is_not_parsed(
    client: httpx.Client, double: Double, member: bytes, status: int
) -> None:
    answer = b'{"%b":[%b]}' % (member, b",".join([b"[]"] * 60_000))
    double.script("x", Answer(raw_body=answer))
    reply = moderate(moderator(client, double), "#x")
    assert reply.status_code == status
    assert (reply.content == answer) == (status == 200)


def test_no_other_endpoint_is_asked(client: httpx.Client, double: Double, other: Double) -> None:
    """The first in order, which is the default, that has them."""
    user = user_of(
        client,
        {
            "default": endpoint(double.url),
            "second": endpoint(other.url, moderations_url=other.url + PATH),
        },
    )
    other.script("x", Answer(status=500))
    assert moderate(user, "#x").status_code == 502
    assert (len(double.calls()), len(other.calls())) == (0, 1)
