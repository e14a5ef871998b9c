"""Which endpoint a request goes to, as which model, in which protocol; and where else."""

from typing import Any

import httpx
import pytest

from server.gateway.listing import MOST_MODELS
from server.gateway.room import SMALL_REPLY_BYTES
from tests.api import Api, config
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import PATHS, PROTOCOLS, ask, body_of, ledger, user_at, user_of
from tests.hurried import LIMIT_SECONDS
from tests.processes import free_port


def two(double: Double, other: Double) -> dict[str, dict[str, Any]]:
    return {
        "first": endpoint(double.url, default_model="alpha", models=["alpha-mini", "beta"]),
        "second": endpoint(other.url, default_model="beta", models=["beta-mini", "org/gamma"]),
    }


@pytest.mark.parametrize(
    ("model", "where", "sent"),
    [
        ("second/beta-mini", 1, "beta-mini"),
        ("second/org/gamma", 1, "org/gamma"),
        ("second/beta", 1, "beta"),
        ("second/", 1, "beta"),
        ("beta-mini", 1, "beta-mini"),
        ("alpha-mini", 0, "alpha-mini"),
        ("beta", 0, "beta"),  # both have it, and the default endpoint is asked first
        ("org/gamma", 1, "org/gamma"),
        (None, 0, "alpha"),
        ("", 0, "alpha"),
    ],
)
def test_endpoint_and_model(
    client: httpx.Client, double: Double, other: Double, model: str | None, where: int, sent: str
) -> None:
    user = user_of(client, two(double, other))
    assert ask(user, "Hi", model=model).status_code == 200
    models = [[call.body["model"] for call in one.calls()] for one in (double, other)]
    assert models == ([[sent], []] if where == 0 else [[], [sent]])
    assert ledger(user)[0]["ref"]["endpoint"] == ("first", "second")[where]


NOT_OFFERED = [
    *("unknown", "unknown/alpha", "first/unknown", "second/alpha", "first/first/alpha"),
    *("ALPHA", "alpha ", " alpha", "alpha\n", "first/ALPHA", "First/alpha", "first//alpha"),
    *("alpha/", "/alpha", "/", "*", "first/*", "gamma", "alpha\u200b", "\uff41lpha"),
    *("openai/alpha", "models/alpha", "ft:alpha", "alpha:online", "alpha-mini-2026-01-01"),
]


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_a_model_that_is_not_offered_is_404(
    client: httpx.Client, double: Double, other: Double, asked: str
) -> None:
    user = user_of(client, two(double, other), ["second"])
    for model in NOT_OFFERED:
        reply = ask(user, "Hi", asked, model=model)
        assert reply.status_code == 404, (model, reply.text)
        assert reply.json()["error"]["code"] == "model_not_found"
        assert reply.headers["x-should-retry"] == "false"
    for value in (["alpha"], {"name": "alpha"}, 1, True):
        assert ask(user, "Hi", asked, model=value).status_code == 400
    assert double.calls() == other.calls() == []
    assert user.balance()["rateRemaining"] == 10_000


def test_any_model_of_an_endpoint_that_is_open(
    client: httpx.Client, double: Double, other: Double
) -> None:
    """By the endpoint's name alone."""
    endpoints = two(double, other)
    endpoints["second"]["models"].append("*")
    user = user_of(client, endpoints)
    names = ["second/any", "second/org/any", "second/alpha", "second/beta", "beta-mini"]
    for model in names:
        assert ask(user, "Hi", model=model).status_code == 200
    sent = [call.body["model"] for call in other.calls()]
    assert sent == ["any", "org/any", "alpha", "beta", "beta-mini"]
    for model in ("any", "first/any", "*", "second/*"):
        assert ask(user, "Hi", model=model).status_code == 404
    listed = user.api.get("/v1/models", user.headers).json()["data"]
    assert "*" not in [model["id"] for model in listed]


# Endpoints by name: their protocol, default model and further models. The first is the default one.
SLASHES: dict[str, tuple[str, list[str]]] = {
    "anthropic": ("claude-x", ["openrouter/auto"]),
    "openrouter": ("auto", ["anthropic/claude-x", "claude-x", "a/b/c", "anthropic/"]),
    "a": ("b/c", ["anthropic/claude-x"]),
}


@pytest.mark.parametrize(
    ("model", "where", "sent"),
    [
        ("anthropic/claude-x", "openrouter", "anthropic/claude-x"),
        ("openrouter/claude-x", "openrouter", "claude-x"),
        ("openrouter/auto", "anthropic", "openrouter/auto"),
        ("a/b/c", "openrouter", "a/b/c"),
        ("anthropic/openrouter/auto", "anthropic", "openrouter/auto"),
        ("anthropic/", "openrouter", "anthropic/"),
        ("a/anthropic/claude-x", "a", "anthropic/claude-x"),
        ("openrouter/anthropic/claude-x", "openrouter", "anthropic/claude-x"),
        ("b/c", "a", "b/c"),
    ],
)
def test_a_listed_name_comes_before_an_endpoints(
    client: httpx.Client, double: Double, model: str, where: str, sent: str
) -> None:
    endpoints = {
        name: endpoint(double.url, "openai", default_model=default, models=models)
        for name, (default, models) in SLASHES.items()
    }
    user = user_of(client, endpoints)
    assert ask(user, "Hi", model=model).status_code == 200
    assert double.calls()[0].body["model"] == sent
    assert ledger(user)[0]["ref"]["endpoint"] == where


def test_each_listed_model_is_its_owners(client: httpx.Client, double: Double) -> None:
    endpoints = {
        name: endpoint(double.url, "openai", default_model=default, models=models)
        for name, (default, models) in SLASHES.items()
    }
    user = user_of(client, endpoints)
    for model in user.api.get("/v1/models", user.headers).json()["data"]:
        assert ask(user, "Hi", model=model["id"]).status_code == 200
        assert ledger(user)[0]["ref"]["endpoint"] == model["owned_by"], model


def test_a_client_with_edits_of_thinking_is_served_by_any_model(
    client: httpx.Client, double: Double
) -> None:
    """As Claude Code asks."""
    user = user_at(client, double.url)
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    members: dict[str, Any] = {
        "context_management": edits,
        "thinking": {"type": "adaptive"},
        "metadata": {"user_id": "user_" + "a" * 64 + "_account__session_" + "b" * 76},
    }
    reply = ask(user, "Hi", "anthropic", **members)
    assert reply.status_code == 200, reply.text
    assert len(double.calls()[0].body["user"]) <= 64


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model_must_be_named_where_there_is_no_default(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, default_model=None, models=["any"])
    reply = ask(user, "Hi", protocol)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "model" in reply.json()["error"]["message"]
    assert double.calls() == []
    assert ask(user, "Hi", protocol, model="any").status_code == 200


NO_PROVIDER: dict[str, dict[str, Any]] = {
    "no text": {},
    "no endpoints": {"text": {"endpoints": {}}},
    "no default of two": {
        "text": {"endpoints": {name: endpoint("http://127.0.0.1:1") for name in ("a", "b")}}
    },
    "no url": {"text": {"endpoints": {"a": {"default_model": "any"}}, "default": "a"}},
}


@pytest.mark.parametrize("providers", NO_PROVIDER.values(), ids=NO_PROVIDER)
def test_no_provider(client: httpx.Client, providers: dict[str, Any]) -> None:
    user = Api.new_tenant(client, config() | {"providers": providers}).login()
    reply = ask(user, "Hi", model="unknown")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"
    assert reply.json()["error"]["type"] == "invalid_request_error"
    reply = ask(user, "Hi", "anthropic", model="unknown")
    assert reply.status_code == 404
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == "not_found_error"
    assert user.balance()["tokensUsed"] == 0


def test_the_only_endpoint_needs_not_be_called_the_default(
    client: httpx.Client, double: Double
) -> None:
    providers = {"text": {"endpoints": {"only": endpoint(double.url)}}}
    user = Api.new_tenant(client, config(anonymous=_RICH) | {"providers": providers}).login()
    assert ask(user, "Hi").status_code == 200


_RICH = {"tokens": 100_000, "rate_limit": 100, "rate_limit_window": 60}


@pytest.mark.parametrize(
    ("name", "path", "protocol", "spoken"),
    [
        ("main", "/v1/chat/completions", None, "openai"),
        ("main", "/v1/messages", None, "anthropic"),
        ("main", "/v1/messages?a=b", None, "anthropic"),
        ("anthropic", "/v1/messages", None, "anthropic"),
        ("main", "/v1/messages", "anthropic", "anthropic"),
        ("anthropic", "/v1/chat/completions", "openai", "openai"),
    ],
)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_protocol_of_an_endpoint(
    client: httpx.Client,
    double: Double,
    name: str,
    path: str,
    protocol: str | None,
    spoken: str,
    asked: str,
) -> None:
    given = {"url": double.url + path, "api_key": "sk-1", "default_model": "any"}
    user = user_of(client, {name: given | ({"protocol": protocol} if protocol else {})})
    reply = ask(user, "Hi", asked)
    assert reply.status_code == 200, reply.text
    name, kind = {"openai": ("object", "chat.completion"), "anthropic": ("type", "message")}[asked]
    assert reply.json()[name] == kind
    (call,) = double.calls()
    assert call.protocol == spoken
    assert ("anthropic-version" in call.headers) == (spoken == "anthropic")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_version_may_be_there_twice(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, protocol)
    body = body_of(protocol, "Hi")
    assert user.api.post("/v1" + PATHS[protocol], body, user.headers).status_code == 200
    assert user.api.get("/v1/v1/models", user.headers).status_code == 200


def test_models(client: httpx.Client, double: Double, other: Double) -> None:
    user = user_of(client, two(double, other))
    names = ["alpha", "alpha-mini", "beta", "second/beta", "beta-mini", "org/gamma"]
    reply = user.api.get("/v1/models", user.headers)
    assert (reply.status_code, reply.json()["object"]) == (200, "list")
    owners = ["first"] * 3 + ["second"] * 3
    assert reply.json()["data"] == [
        {"id": name, "object": "model", "created": 0, "owned_by": owner}
        for name, owner in zip(names, owners, strict=True)
    ]
    headers = {"X-API-Key": user.api_key, "anthropic-version": "2023-06-01"}
    found = user.api.get("/v1/models", headers).json()
    assert [model["id"] for model in found["data"]] == names
    assert {model["type"] for model in found["data"]} == {"model"}
    assert (found["first_id"], found["last_id"], found["has_more"]) == (names[0], names[-1], False)
    for name in names:
        assert ask(user, "Hi", model=name).status_code == 200
    asked = [call.body["model"] for one in (double, other) for call in one.calls()]
    assert asked == ["alpha", "alpha-mini", "beta", "beta", "beta-mini", "org/gamma"]


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_of_very_many_models_the_first_are_listed(
    client: httpx.Client, double: Double, headers: dict[str, str]
) -> None:
    """However the config is filled, a list does not take others' time and memory."""
    names = [f"m{number}" for number in range(6_000)]
    user = user_of(client, {"p" * 64: endpoint(double.url, models=names)})
    headers = {**user.headers, **headers}
    listed = user.api.get("/v1/models", headers)
    assert [model["id"] for model in listed.json()["data"]][1:] == names[: MOST_MODELS - 1]
    assert len(listed.content) > SMALL_REPLY_BYTES
    told = client.head(f"/{user.api.tenant_id}/v1/models", headers=headers)
    assert int(told.headers["content-length"]) == len(listed.content)
    assert ask(user, "Hi", model=names[-1]).status_code == 200


def test_models_without_endpoints_or_tokens(client: httpx.Client) -> None:
    user = user_of(client, {"none": {}}, tokens=0)
    assert user.api.get("/v1/models", user.headers).json() == {"object": "list", "data": []}
    found = user.api.get("/v1/models", {**user.headers, "anthropic-version": "2023-06-01"}).json()
    assert found == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_models_are_not_for_strangers(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    for headers in ({}, {"Authorization": "Bearer unknown"}):
        reply = user.api.get("/v1/models", headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")


FAILING = {
    **{f"status {status}": Answer(status=status) for status in (429, 500, 502, 503, 529)},
    "cut before the head": Answer(cut_at=0),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", FAILING)
def test_falls_back(
    client: httpx.Client, double: Double, other: Double, name: str, streamed: bool
) -> None:
    prompt = double.script("x", FAILING[name])
    user = user_of(client, two(double, other), ["second"])
    reply = ask(user, prompt, stream=streamed)
    assert reply.status_code == 200, reply.text
    assert [len(one.calls()) for one in (double, other)] == [1, 1]
    assert other.calls()[0].body["model"] == "beta"
    assert user.balance()["tokensUsed"] == other.calls()[0].used == 25
    assert ledger(user)[0]["ref"]["endpoint"] == "second"


def test_falls_back_from_what_cannot_be_reached(client: httpx.Client, other: Double) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid"):
        user = user_of(client, {"first": endpoint(url), "second": endpoint(other.url)}, ["second"])
        assert ask(user, "Hi").status_code == 200


def test_falls_back_when_the_first_byte_does_not_come(
    hasty_client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("slow", Answer(stop_at=0))
    user = user_of(hasty_client, two(double, other), ["second"])
    assert ask(user, prompt).status_code == 200
    # A stream's head comes at once; what is waited for is its first event.
    assert ask(user, prompt, stream=True).status_code == 200
    assert user.balance()["tokensUsed"] == sum(call.used for call in other.calls()) == 50


def test_no_answer_in_time_and_nowhere_to_fall_back(
    hasty_client: httpx.Client, double: Double
) -> None:
    prompt = double.script("slow", Answer(stop_at=0))
    user = user_at(hasty_client, double.url)
    for streamed in (False, True):
        reply = ask(user, prompt, stream=streamed)
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "provider_timeout")
        reply = ask(user, prompt, "anthropic", stream=streamed)
        assert (reply.status_code, reply.json()["error"]["type"]) == (504, "timeout_error")
    assert user.balance()["tokensUsed"] == 0


def test_endpoints_that_cannot_be_afforded_take_no_time(
    hasty_client: httpx.Client, double: Double
) -> None:
    """The one that can has all of it."""
    slow = double.script("slow", Answer(delay=1.5 * LIMIT_SECONDS))
    dear = {name: endpoint(double.url, weight=1_000) for name in ("a", "b", "c")}
    user = user_of(hasty_client, {"main": endpoint(double.url), **dear}, list(dear), tokens=5_000)
    assert ask(user, slow, max_tokens=10).status_code == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_does_not_fall_back_from_what_another_would_refuse_too(
    client: httpx.Client, double: Double, other: Double, status: int
) -> None:
    prompt = double.script("x", Answer(status=status))
    user = user_of(client, two(double, other), ["second"])
    reply = ask(user, prompt)
    assert reply.status_code == (502 if status in (401, 403) else status)
    assert other.calls() == []
    assert user.balance()["tokensUsed"] == 0


def test_fallbacks_are_tried_in_order(client: httpx.Client, double: Double, other: Double) -> None:
    prompt = double.script("x", Answer(status=503), Answer(status=500), Answer())
    names = ("first", "second", "third", "fourth")
    endpoints = {
        name: endpoint(double.url, default_model=name, api_key=f"sk-{name}") for name in names
    }
    user = user_of(client, endpoints, ["third", "first", "second", "fourth"])
    assert ask(user, prompt).status_code == 200
    asked = [(call.body["model"], call.headers["authorization"]) for call in double.calls()]
    assert asked == [(name, f"Bearer sk-{name}") for name in ("first", "third", "second")]


def test_few_fallbacks_are_tried_and_each_once(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", *[Answer(status=503)] * 5, Answer())
    user = user_of(client, two(double, double), ["second", "first"] * 5)
    assert ask(user, prompt).status_code == 502
    assert len(double.calls()) == 2
    names = [f"e{number}" for number in range(20)]
    prompt = other.script("y", *[Answer(status=503)] * 20, Answer())
    user = user_of(client, {name: endpoint(other.url) for name in names}, names)
    assert ask(user, prompt).status_code == 502
    assert len(other.calls()) == 1 + 10


def test_a_fallback_that_has_the_model_is_asked_for_it(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = two(double, other)
    endpoints["second"]["models"].append("alpha-mini")
    user = user_of(client, endpoints, ["second"])
    assert ask(user, prompt, model="alpha-mini").status_code == 200
    assert other.calls()[0].body["model"] == "alpha-mini"


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
def test_falls_back_to_another_protocol(
    client: httpx.Client, double: Double, other: Double, asked: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(status=529))
    endpoints = {
        "main": endpoint(double.url, asked),
        "else": endpoint(other.url, "anthropic" if asked == "openai" else "openai"),
    }
    user = user_of(client, endpoints, ["else"])
    assert ask(user, prompt, asked, stream=streamed).status_code == 200
    assert other.calls()[0].protocol != asked


def test_what_cannot_be_translated_does_not_fall_back(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = {"main": endpoint(double.url), "else": endpoint(other.url, "anthropic")}
    user = user_of(client, endpoints, ["else"])
    assert ask(user, prompt, n=2).status_code == 502
    assert other.calls() == []


def test_when_all_fail_the_first_one_is_heard(
    client: httpx.Client, double: Double, other: Double
) -> None:
    double.script("x", Answer(status=429, headers={"retry-after": "7"}))
    prompt = other.script("x", Answer(status=500))
    user = user_of(client, two(double, other), ["second"])
    reply = ask(user, prompt)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert [len(one.calls()) for one in (double, other)] == [1, 1]
    assert user.balance()["tokensUsed"] == 0


def test_retry_after_is_passed_on_but_not_for_longer_than_a_minute(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url)
    for given, told in (("7", "7"), ("3600", "60"), ("0.2", "1"), ("soon", None)):
        answer = Answer(status=429, headers={"retry-after": given})
        reply = ask(user, double.script("x", answer))
        assert (reply.status_code, reply.headers.get("retry-after")) == (429, told)
