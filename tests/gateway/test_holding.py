"""What a call sets aside, which limit it sends, and for what it is refused beforehand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import (
    PROTOCOLS,
    TOKENS,
    ask,
    estimate,
    turns,
    used,
    user_at,
    user_of,
)
from tests.processes import Valkey, eventually
from tests.stored import record

PROMPT = "Tell me a story. #waits"
ESTIMATE = estimate(turns(PROMPT))
SMALL = 1_000


@contextmanager
def under_way(
    double: Double, user: User, prompt: Any = PROMPT, protocol: str = "openai", **members: Any
) -> Iterator[dict[str, Any]]:
    """The request that the double has got, while it does not answer."""
    double.script("waits", Answer(stop_at=0))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, user, prompt, protocol, **members)
        try:
            eventually(lambda: double.calls() or reply.done())
            assert double.calls(), reply.result().text
            yield double.calls()[0].body
        finally:
            double.release("waits")
        assert reply.result().status_code == 200, reply.result().text


def held(user: User) -> int:
    return int(user.balance()["tokensHeld"])


# Members of the endpoint, of the request, the weight, choices, and the limit.
LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int, int]] = {
    "asked for": ({}, {"max_tokens": 70}, 1, 1, 70),
    "asked for in the new way": ({}, {"max_completion_tokens": 70}, 1, 1, 70),
    "both": ({}, {"max_completion_tokens": 70, "max_tokens": 90}, 1, 1, 70),
    "null": ({"max_output": 300}, {"max_tokens": None, "max_completion_tokens": None}, 1, 1, 300),
    "of the endpoint": ({"max_output": 300}, {}, 1, 1, 300),
    "above the endpoint's": ({"max_output": 300}, {"max_tokens": 500}, 1, 1, 500),
    "default": ({}, {}, 1, 1, 4096),
    "choices": ({}, {"max_tokens": 70, "n": 3}, 1, 3, 70),
    "weight": ({"weight": 5}, {"max_tokens": 70}, 5, 1, 70),
    "weight and choices": ({"weight": 5}, {"max_tokens": 70, "n": 3}, 5, 3, 70),
}


@pytest.mark.parametrize("name", LIMITS)
def test_held_is_what_the_call_may_cost(client: httpx.Client, double: Double, name: str) -> None:
    members, request, weight, choices, limit = LIMITS[name]
    user = user_at(client, double.url, **members)
    with under_way(double, user, **request) as sent:
        assert held(user) == (ESTIMATE + limit * choices) * weight
        assert sent["max_tokens"] == limit
        assert "max_completion_tokens" not in sent


def test_its_hold_is_none_that_a_user_can_settle(
    client: httpx.Client, valkey: Valkey, double: Double
) -> None:
    """Even one that knows its ID, which no reply tells; neither while it is open nor after."""
    user = user_at(client, double.url)
    with under_way(double, user):
        (hold_id,) = record(valkey, user)["holds"]
        before = held(user)
        for tokens in (0, 1):
            assert user.settle(hold_id, tokens).status_code == 404
        assert held(user) == before
    assert used(user) == 25
    assert user.settle(hold_id, 0).status_code == 404


def test_held_for_anthropic(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, "anthropic", weight=2)
    with under_way(double, user, protocol="anthropic", max_tokens=70, system="Be brief") as sent:
        assert held(user) == 2 * (estimate(turns(PROMPT), "Be brief") + 70)
        assert sent["max_tokens"] == 70


def test_an_anthropic_request_without_a_limit_gets_the_endpoints(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, "anthropic", max_output=300)
    with under_way(double, user, protocol="anthropic", max_tokens=None) as sent:
        assert (held(user), sent["max_tokens"]) == (ESTIMATE + 300, 300)


@pytest.mark.parametrize("weights", [(1, 7, 3), (7, 1, 3), (3, 1, 7)])
def test_the_largest_weight_is_held(
    client: httpx.Client, double: Double, weights: tuple[int, int, int]
) -> None:
    endpoints = {
        f"number{number}": endpoint(double.url, weight=weight)
        for number, weight in enumerate(weights)
    }
    user = user_of(client, endpoints, ["number1", "number2"])
    with under_way(double, user, max_tokens=70) as sent:
        assert held(user) == 7 * (ESTIMATE + 70)
        assert sent["max_tokens"] == 70
    assert used(user) == weights[0] * 25


def test_only_fallbacks_count(client: httpx.Client, double: Double) -> None:
    endpoints = {"main": endpoint(double.url), "dear": endpoint(double.url, weight=100)}
    user = user_of(client, endpoints)
    with under_way(double, user, max_tokens=70):
        assert held(user) == ESTIMATE + 70


def test_a_fallback_is_charged_by_its_own_weight(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = {
        "main": endpoint(double.url, weight=9),
        "second": endpoint(other.url, weight=2),
    }
    user = user_of(client, endpoints, ["second"])
    reply = ask(user, prompt)
    assert reply.headers["x-tokens-charged"] == "50"
    assert used(user) == 50


@pytest.mark.parametrize(
    ("weight", "choices", "left"), [(1, 1, 40), (3, 1, 100), (3, 4, 100), (1, 7, 48), (1000, 1, 1)]
)
def test_held_and_limit_are_cut_to_the_balance(
    client: httpx.Client, double: Double, weight: int, choices: int, left: int
) -> None:
    balance = ESTIMATE * weight + max(left, weight * choices)
    user = user_at(client, double.url, tokens=balance, weight=weight)
    with under_way(double, user, n=choices) as sent:
        assert held(user) == balance
        assert sent["max_tokens"] == (balance - ESTIMATE * weight) // (weight * choices)
    assert used(user) <= balance


def test_a_dear_fallback_does_not_raise_the_limit(
    client: httpx.Client, double: Double, other: Double
) -> None:
    """What is held for the dear one covers more of the cheap one, which was not asked for."""
    double.script("waits", Answer(status=503))
    balance = 10 * (ESTIMATE + 20)
    endpoints = {
        "main": endpoint(double.url, weight=1),
        "second": endpoint(other.url, weight=10),
    }
    user = user_of(client, endpoints, ["second"], tokens=balance)
    assert ask(user, PROMPT, max_tokens=70).status_code == 200
    assert double.calls()[0].body["max_tokens"] == 70
    assert other.calls()[0].body["max_tokens"] == 20


def test_a_fallback_that_the_balance_does_not_cover_is_left_out(
    client: httpx.Client, double: Double, other: Double
) -> None:
    double.script("waits", Answer(status=503))
    endpoints = {"main": endpoint(double.url), "second": endpoint(other.url, weight=10)}
    user = user_of(client, endpoints, ["second"], tokens=ESTIMATE * 2)
    assert ask(user, PROMPT).status_code == 502
    assert other.calls() == []
    assert used(user) == 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("weight", "choices"), [(1, 1), (3, 1), (3, 4)])
def test_payment_is_required_below_one_token_of_output(
    client: httpx.Client, double: Double, weight: int, choices: int, streamed: bool
) -> None:
    needed = weight * (ESTIMATE + choices)
    for tokens, status in ((needed, 200), (needed - 1, 402), (ESTIMATE, 402), (0, 402)):
        user = user_at(client, double.url, tokens=tokens, weight=weight)
        reply = ask(user, PROMPT, n=choices, stream=streamed)
        assert reply.status_code == status, reply.text
        if status == 402:
            error = reply.json()["error"]
            assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
            assert reply.headers["x-should-retry"] == "false"
            assert "ratelimit" in reply.headers
            assert user.balance()["tokensLeft"] == tokens
    assert [call.body["max_tokens"] for call in double.calls()] == [1]


def test_payment_is_required_in_anthropics_words(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, "anthropic", tokens=3)
    reply = ask(user, PROMPT, "anthropic")
    assert (reply.status_code, reply.json()["type"]) == (402, "error")
    assert reply.json()["error"]["type"] == "billing_error"
    assert reply.headers["x-should-retry"] == "false"


# Members of an endpoint, the limit's name upstream.
LIMIT_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "default": ({}, "max_tokens"),
    "old": ({"limit_field": "max_tokens"}, "max_tokens"),
    "new": ({"limit_field": "max_completion_tokens"}, "max_completion_tokens"),
}


@pytest.mark.parametrize("name", LIMIT_FIELDS)
@pytest.mark.parametrize("asked", [["max_tokens"], ["max_completion_tokens"], [], None])
def test_exactly_one_limit_is_sent(
    client: httpx.Client, double: Double, name: str, asked: list[str] | None
) -> None:
    members, field = LIMIT_FIELDS[name]
    given = ["max_tokens", "max_completion_tokens"] if asked is None else asked
    user = user_at(client, double.url, **members)
    request: dict[str, Any] = dict.fromkeys(given, 50)
    assert ask(user, "Hi", **request).status_code == 200
    sent = double.calls()[0].body
    limits = {name: sent[name] for name in sent if name.startswith("max_")}
    assert limits == {field: 50 if given else 4096}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_limit_is_sent_when_translated(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    asked = "anthropic" if protocol == "openai" else "openai"
    user = user_at(client, double.url, protocol, limit_field="max_completion_tokens")
    assert ask(user, "Hi", asked, max_tokens=50).status_code == 200
    sent = double.calls()[0].body
    limits = {name: sent[name] for name in sent if name.startswith("max_")}
    field = "max_completion_tokens" if protocol == "openai" else "max_tokens"
    assert limits == {field: 50}


WRONG: dict[str, list[Any]] = {
    "max_tokens": [0, -1, "5", 1.5, True, 10**13 + 1, []],
    "max_completion_tokens": [0, "5"],
    "n": [0, -1, "2", 1.5, 129],
}
WRONG_LIMITS = [{name: value} for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize("request_", WRONG_LIMITS, ids=str)
def test_a_limit_that_is_none(
    client: httpx.Client, double: Double, request_: dict[str, Any]
) -> None:
    user = user_at(client, double.url)
    reply = ask(user, "Hi", **request_)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, next(iter(request_)))
    assert double.calls() == []


def test_a_limit_as_large_as_can_be(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, weight=1000)
    assert ask(user, "Hi", max_tokens=10**13, n=8).status_code == 200
    left = TOKENS // 1000 - estimate(turns("Hi"))
    assert double.calls()[0].body["max_tokens"] == left // 8


def test_no_budget_for_thinking_is_too_large_to_be_refused(
    client: httpx.Client, double: Double
) -> None:
    """Times the weight, it is more than any balance."""
    thinking = {"type": "enabled", "budget_tokens": 10**13 - 1}
    user = user_at(client, double.url, "anthropic", weight=1000)
    assert ask(user, "Hi", "anthropic", max_tokens=10**13, thinking=thinking).status_code == 402
    assert (double.calls(), used(user)) == ([], 0)


@pytest.mark.parametrize("kind", ["enabled", "adaptive"])
def test_thinking_must_fit_below_the_limit(client: httpx.Client, double: Double, kind: str) -> None:
    thinking = {"type": kind, "budget_tokens": 200}
    needed = ESTIMATE + 201
    for tokens, status in ((needed, 200), (needed - 1, 402)):
        user = user_at(client, double.url, "anthropic", tokens=tokens)
        reply = ask(user, PROMPT, "anthropic", max_tokens=500, thinking=thinking)
        assert reply.status_code == status, reply.text
        if status == 402:
            assert reply.json()["error"]["type"] == "billing_error"
    (call,) = double.calls()
    assert (call.body["max_tokens"], call.body["thinking"]) == (201, thinking)


def test_a_budget_that_is_not_below_the_limit_is_the_providers_to_refuse(
    client: httpx.Client, double: Double
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 200}
    user = user_at(client, double.url, "anthropic", tokens=ESTIMATE + 1)
    double.script("waits", Answer(status=400))
    reply = ask(user, PROMPT, "anthropic", max_tokens=200, thinking=thinking)
    assert (reply.status_code, len(double.calls()), used(user)) == (400, 1, 0)


def _image(source: dict[str, str]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "#x"}, {"type": "image", "source": source}]


def _image_url(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "#x"}, {"type": "image_url", "image_url": {"url": url}}]


DATA = "A" * 30_000
IMAGES = {
    "openai data": ("openai", _image_url, f"data:image/png;base64,{DATA}"),
    "openai url": ("openai", _image_url, "https://example.com/cat.png"),
    "anthropic data": (
        "anthropic",
        _image,
        {"type": "base64", "media_type": "image/png", "data": DATA},
    ),
    "anthropic url": ("anthropic", _image, {"type": "url", "url": "https://example.com/cat.png"}),
}


@pytest.mark.parametrize("image_tokens", [None, 300])
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_counts_as_the_endpoint_says(
    client: httpx.Client, double: Double, name: str, image_tokens: int | None
) -> None:
    protocol, made, source = IMAGES[name]
    members = {} if image_tokens is None else {"image_tokens": image_tokens}
    user = user_at(client, double.url, protocol, **members)
    parts = made(source)  # type: ignore[operator]
    double.script("x", Answer(stop_at=0))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, user, parts, protocol, max_tokens=50)
        eventually(lambda: double.calls("x") or reply.done())
        counted = held(user) - 50 - (image_tokens or 1600)
        double.release("x")
    assert reply.result().status_code == 200
    # The text around it, and not its bytes.
    assert 0 < counted <= estimate(turns(parts))
    assert counted < 100


UNBOUNDED: dict[str, tuple[str, dict[str, Any]]] = {
    "web search": ("openai", {"web_search_options": {}}),
    "tool at OpenAI": ("openai", {"tools": [{"type": "web_search_preview"}]}),
    "file": (
        "openai",
        {"messages": turns([{"type": "file", "file": {"file_id": "file-1"}}])},
    ),
    "file's data": (
        "openai",
        {"messages": turns([{"type": "file", "file": {"file_data": "data:;base64,AA=="}}])},
    ),
    "audio": (
        "openai",
        {"messages": turns([{"type": "input_audio", "input_audio": {"data": "AA=="}}])},
    ),
    "tool at Anthropic": (
        "anthropic",
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ),
    "code execution": (
        "anthropic",
        {"tools": [{"type": "code_execution_20250522", "name": "code_execution"}]},
    ),
    "MCP server": (
        "anthropic",
        {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "a"}]},
    ),
    "container": ("anthropic", {"container": "container_1"}),
    "document by URL": (
        "anthropic",
        {"messages": turns([{"type": "document", "source": {"type": "url", "url": "https://a"}}])},
    ),
    "document of a file": (
        "anthropic",
        {"messages": turns([{"type": "document", "source": {"type": "file", "file_id": "f"}}])},
    ),
    "image of a file": (
        "anthropic",
        {"messages": turns([{"type": "image", "source": {"type": "file", "file_id": "f"}}])},
    ),
    "document in a tool's result": (
        "anthropic",
        {
            "messages": turns(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [
                            {"type": "document", "source": {"type": "url", "url": "https://a"}}
                        ],
                    }
                ]
            )
        },
    ),
    "upload": (
        "anthropic",
        {"messages": turns([{"type": "container_upload", "file_id": "f"}])},
    ),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_nobody_can_bound_needs_the_endpoints_consent(
    client: httpx.Client, double: Double, name: str
) -> None:
    protocol, request = UNBOUNDED[name]
    user = user_at(client, double.url, protocol)
    reply = ask(user, "Hi", protocol, **request)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
    assert next(iter(request)) in reply.json()["error"]["message"]
    assert (double.calls(), user.balance()["tokensUsed"]) == ([], 0)
    consenting = user_at(client, double.url, protocol, unbounded=True)
    ask(consenting, "Hi", protocol, **request)
    assert double.calls()[0].body[next(iter(request))] == next(iter(request.values()))


def test_a_fallback_that_does_not_consent_is_left_out(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = {
        "main": endpoint(double.url, unbounded=True),
        "second": endpoint(other.url),
    }
    user = user_of(client, endpoints, ["second"])
    assert ask(user, prompt, web_search_options={}).status_code == 502
    assert (len(double.calls()), other.calls()) == (1, [])
