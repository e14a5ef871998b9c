"""One model, as SDKs and front ends look it up before they use it."""

from typing import Any
from urllib.parse import quote

import anthropic
import httpx
import openai
import pytest

from tests.api import Api, User
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import TOKENS

NAMES = ["plain", "org/a-b", "priced", "open/anything", "open/with blank", "prompt/haiku", "vector"]
NO_NAMES = ["other", "plain/", "/plain", "open/", "main/other", "prompt/other", "PLAIN", "%"]


def user_of(client: httpx.Client, double: Double, **group: Any) -> User:
    rich = {"tokens": TOKENS, "rate_limit": 10_000, "rate_limit_window": 60}
    models = ["org/a-b", {"name": "priced", "weight": 2.5, "cached_weight": 0.5}]
    config = text_config(
        {
            "main": endpoint(double.url, default_model="plain", models=models),
            "open": endpoint(double.url, default_model=None, models=["*"]),
        },
        anonymous={**rich, **group},
    )
    embeddings = {"vectors": {"url": f"{double.url}/v1/embeddings", "default_model": "vector"}}
    config["providers"]["embeddings"] = {"endpoints": embeddings}
    config["prompts"] = {
        "haiku": {"model": "plain", "messages": [{"role": "user", "content": "."}]}
    }
    return Api.new_tenant(client, config).login()


def see(user: User, name: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return user.api.get(f"/v1/models/{quote(name)}", {**user.headers, **(headers or {})})


def test_they_are_found_by_all_names_that_can_be_asked_for(
    client: httpx.Client, double: Double
) -> None:
    user = user_of(client, double)
    base = f"{client.base_url}/{user.api.tenant_id}"
    listed = {one["id"]: one for one in user.api.get("/v1/models", user.headers).json()["data"]}
    with (
        openai.OpenAI(api_key=user.api_key, base_url=f"{base}/v1", max_retries=0) as sdk,
        anthropic.Anthropic(api_key=user.api_key, base_url=base, max_retries=0) as other,
    ):
        for name in NAMES:
            found = see(user, name).json()
            assert found == listed.get(name, found)
            assert sdk.models.retrieve(name).id == name
            shown = other.models.retrieve(name)
            assert (shown.type, shown.id) == ("model", name)
    assert see(user, "priced").json()["vibe"] == {"input": 2.5, "cached": 0.5, "output": 2.5}
    assert user.api.get("/v1/v1/models/plain", user.headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_what_cannot_be_asked_for_is_404(
    client: httpx.Client, double: Double, headers: dict[str, str]
) -> None:
    user = user_of(client, double)
    for name in NO_NAMES:
        reply = see(user, name, headers)
        assert (reply.status_code, reply.headers["x-should-retry"]) == (404, "false"), name
        error = reply.json()["error"]
        assert error["code"] == "model_not_found", name
        assert error["type"] == ("not_found_error" if headers else "invalid_request_error")
    assert user.api.get("/v1/models/plain").status_code == 401


def test_what_the_user_may_not_ask_for_is_not_there(client: httpx.Client, double: Double) -> None:
    user = user_of(client, double, models=["priced", "prompt/haiku"])
    assert {name for name in NAMES if see(user, name).status_code == 200} == {
        "priced",
        "prompt/haiku",
    }
    user = user_of(client, double, endpoints=["embeddings"])
    assert [name for name in NAMES if see(user, name).status_code == 200] == ["vector"]
    user = user_of(client, double, prompts_only=True)
    assert [name for name in NAMES if see(user, name).status_code == 200] == ["prompt/haiku"]
    key = user_of(client, double).restricted(tokens=9, models=["open/anything", "vector"])
    assert [name for name in NAMES if see(key, name).status_code == 200] == [
        "open/anything",
        "vector",
    ]
