"""Embeddings: what clients may send, what it costs, and who may ask for them."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.api import Api, User, config
from tests.doubles import Answer, Double
from tests.doubles.embeddings_wire import vector
from tests.endpoints import PROVIDER_KEY, endpoint, text_config
from tests.gateway.asking import ledger, used
from tests.processes import eventually

PATH = "/v1/embeddings"
INPUT = 20
"""Tokens that the double reports."""


def embedder(double: Double, **members: Any) -> dict[str, Any]:
    return {
        "url": f"{double.url}/v1/embeddings",
        "api_key": PROVIDER_KEY,
        "default_model": "small",
        "models": [{"name": "large", "weight": 6.5}],
        **members,
    }


def config_with(endpoint: dict[str, Any], tokens: int = 1_000, **group: Any) -> dict[str, Any]:
    usual = {"tokens": tokens, "rate_limit": 10_000, "rate_limit_window": 60}
    providers = {"embeddings": {"endpoints": {"main": endpoint}, "default": "main"}}
    return config(anonymous={**usual, **group}) | {"providers": providers}


def user_at(client: httpx.Client, double: Double, tokens: int = 1_000, **members: Any) -> User:
    return Api.new_tenant(client, config_with(embedder(double, **members), tokens)).login()


def embed(user: User, given: Any, **members: Any) -> httpx.Response:
    return user.api.post(PATH, {"input": given, **members}, user.headers)


def sdk_of(user: User) -> openai.OpenAI:
    url = f"{user.api.client.base_url}/{user.api.tenant_id}/v1"
    return openai.OpenAI(api_key=user.api_key, base_url=url, max_retries=0, timeout=20)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_openais_sdk_gets_vectors(client: httpx.Client, double: Double, encoding: Any) -> None:
    user = user_at(client, double)
    members = {"encoding_format": encoding} if encoding else {}
    with sdk_of(user) as sdk:
        made = sdk.embeddings.create(model="large", input=["#a", "b"], dimensions=3, **members)
    assert made.usage.prompt_tokens == INPUT
    if encoding != "base64":
        assert [one.embedding for one in made.data] == [vector(0, 3), vector(1, 3)]
    assert used(user) == 130
    (call,) = double.calls("a")
    assert call.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert call.body["encoding_format"] == (encoding or "base64")
    newest, *_ = ledger(user)
    ref = {name: newest["ref"][name] for name in ("endpoint", "model", "input", "output")}
    assert ref == {"endpoint": "main", "model": "large", "input": INPUT, "output": 0}
    assert "estimated" not in newest["ref"]


INPUTS: list[tuple[Any, int]] = [
    ("#x abcdef", 3),
    (["#x", "abcd"], 3),
    (["a"] * 10, 10),
    ("#x ä", 2),
    ([1, 2, 3, 400_000], 4),
    ([[1, 2], [3]], 3),
]


@pytest.mark.parametrize(("given", "estimate"), INPUTS)
def test_tokens_are_counted_and_texts_estimated(
    client: httpx.Client, double: Double, given: Any, estimate: int
) -> None:
    """One for three bytes, at least one for each; what is not covered is refused, not cut."""
    user = user_at(client, double, estimate - 1)
    refused = embed(user, given)
    assert (refused.status_code, refused.json()["tokensLeft"]) == (402, estimate - 1)
    assert refused.headers["x-should-retry"] == "false"
    assert double.calls() == []
    user = user_at(client, double, estimate)
    assert embed(user, given).headers["x-tokens-left"] == "0"


def test_what_is_not_reported_is_charged_as_estimated(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double)
    double.script("x", Answer(usage="absent"), Answer(malformed="20"), Answer(input_tokens=0))
    for number in (1, 2, 3):
        assert embed(user, "#x 345678").headers["x-tokens-charged"] == "3"
        assert used(user) == 3 * number
    assert all(entry["ref"]["estimated"] for entry in ledger(user)[::2][:3])


REFUSED: list[dict[str, Any]] = [
    {},
    {"input": ""},
    {"input": []},
    {"input": [""]},
    {"input": [[]]},
    {"input": [True]},
    {"input": [1.5]},
    {"input": [-1]},
    {"input": [[1, 2**32]]},
    {"input": ["a", 1]},
    {"input": [[1], "a"]},
    {"input": [["a"]]},
    {"input": {"text": "a"}},
    {"input": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
    {"input": "a", "model": 5},
    {"input": "a", "messages": [{"role": "user", "content": "a longer text"}]},
    {"input": "a", "stream": True},
    {"input": "a", "models": ["other"]},
]


@pytest.mark.parametrize("body", REFUSED, ids=json.dumps)
def test_a_wrong_body_is_400_by_its_member(
    client: httpx.Client, double: Double, body: dict[str, Any]
) -> None:
    user = user_at(client, double)
    reply = user.api.post(PATH, body, user.headers)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == [*body, "input"][0 if len(body) < 2 else 1]
    assert (used(user), double.calls()) == (0, [])


def test_members_that_the_endpoint_allows_and_forces(client: httpx.Client, double: Double) -> None:
    """Ours is the user, as whom providers know it."""
    user = user_at(client, double, allow=["late_chunking"], force={"user": None, "dimensions": 2})
    body = {"input": "#x", "late_chunking": True, "dimensions": 9, "user": "mallory"}
    reply = user.api.post(PATH, body, user.headers)
    assert reply.status_code == 400, reply.text
    (call,) = double.calls("x")
    assert call.body == {
        "input": "#x",
        "model": "small",
        "late_chunking": True,
        "dimensions": 2,
    }
    assert used(user) == 0


@pytest.mark.parametrize(
    ("asked", "model"),
    [(None, "small"), ("small", "small"), ("main/large", "large"), ("other", None)],
)
def test_which_model(client: httpx.Client, double: Double, asked: Any, model: Any) -> None:
    user = user_at(client, double)
    reply = embed(user, "#x", model=asked)
    if model is None:
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
        return
    assert reply.json()["model"] == model
    assert "user" in double.calls("x")[0].body


def test_a_tenant_without_embeddings(client: httpx.Client, double: Double) -> None:
    user = Api.new_tenant(client, text_config({"main": endpoint(double.url)})).login()
    reply = embed(user, "a")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


POLICIES: list[tuple[dict[str, Any], str | None]] = [
    ({"endpoints": ["text"]}, "endpoint_not_allowed"),
    ({"endpoints": ["embeddings"]}, None),
    ({"models": ["small"]}, None),
    ({"models": ["main/*"]}, None),
    ({"models": ["large"]}, "model_not_allowed"),
    ({"max_input": 2}, "input_not_allowed"),
    ({"max_output": 1}, None),
    ({"prompts_only": True}, "prompts_only"),
]


@pytest.mark.parametrize(("group", "code"), POLICIES)
def test_what_a_group_may_ask_for(
    client: httpx.Client, double: Double, group: dict[str, Any], code: str | None
) -> None:
    user = Api.new_tenant(client, config_with(embedder(double), **group)).login()
    reply = embed(user, "#x 345678")
    if code is None:
        assert reply.status_code == 200, reply.text
        return
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, code)
    assert (used(user), double.calls()) == (0, [])


def test_what_a_restricted_key_is_for(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double)
    key = user.restricted(tokens=50, models=["large"])
    reply = embed(key, "#x")
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "model_not_allowed")
    refused = embed(key, "#x" * 100, model="large")
    assert (refused.status_code, refused.headers["x-tokens-left"]) == (402, "50")
    any_of_them = user.restricted(tokens=50)
    assert embed(any_of_them, "#x").headers["x-tokens-left"] == str(50 - INPUT)


def test_the_list_of_models_has_them_for_who_may_use_them(
    client: httpx.Client, double: Double
) -> None:
    value = config_with(embedder(double)) | {}
    value["providers"]["text"] = text_config({"chat": endpoint(double.url)})["providers"]["text"]
    user = Api.new_tenant(client, value).login()

    def listed(user: User) -> list[tuple[str, str]]:
        found = user.api.get("/v1/models", user.headers).json()["data"]
        return [(one["id"], one["owned_by"]) for one in found]

    assert listed(user) == [("openai-model", "chat"), ("small", "main"), ("large", "main")]
    assert listed(user.restricted(tokens=9, models=["large"])) == [("large", "main")]


FAILURES = [
    (Answer(status=400, code="bad_input"), 400, "bad_input"),
    (Answer(status=401), 502, "provider_auth_error"),
    (Answer(status=429), 429, "rate_limit_exceeded"),
    (Answer(status=500), 502, "provider_error"),
    (Answer(cut_at=1), 502, "provider_error"),
    (Answer(raw_body=b'{"error": {"message": "No"}}'), 502, "provider_error"),
    (Answer(raw_body=b'{"object": "list", "data": []}'), 502, "provider_error"),
    (Answer(raw_body=b"<html>"), 502, "provider_error"),
]


@pytest.mark.parametrize(("answer", "status", "code"), FAILURES)
def test_a_failure_is_told_as_of_other_calls(
    client: httpx.Client, double: Double, answer: Answer, status: int, code: str
) -> None:
    user = user_at(client, double)
    double.script("x", answer)
    reply = embed(user, "#x")
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    # Of one that had begun and was cut the input was used.
    assert used(user) == (1 if answer.cut_at else 0)


def test_a_call_goes_on_without_its_client(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double)
    double.script("x", Answer(stop_at=0))
    url = f"{client.base_url}/{user.api.tenant_id}{PATH}"
    with ThreadPoolExecutor() as pool:
        left = pool.submit(httpx.post, url, json={"input": "#x"}, headers=user.headers, timeout=0.3)
        assert isinstance(left.exception(), httpx.ReadTimeout)
    double.release("x")
    eventually(lambda: user.balance()["tokensUsed"] == INPUT)


def test_as_many_tokens_as_openai_takes(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double, 10**6)
    double.script("", Answer(usage="absent"))
    given = [[12_345] * 150 for _ in range(2_000)]
    assert embed(user, given, encoding_format="base64").headers["x-tokens-charged"] == "300000"
    given += [[12_345] * 5_000 for _ in range(2)]
    assert embed(user, given).status_code == 400


def test_a_reply_of_many_numbers_costs_what_it_says(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double)
    numbers = b",".join([b"-0.012345678"] * 400_000)
    usage = b'"usage":{"prompt_tokens":77,"total_tokens":77}'
    data = b'{"object":"list","data":[{"embedding":[' + numbers + b"]}]," + usage + b"}"
    double.script("x", Answer(raw_body=data))
    reply = embed(user, "#x")
    assert reply.headers["x-tokens-charged"] == "77"
    assert orjson.loads(reply.content)["usage"]["prompt_tokens"] == 77
