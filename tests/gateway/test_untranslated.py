"""Requests that their endpoint's protocol has no words for: it is decided first whether they may be
made at all, and then they are refused, and cost nothing."""

from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PROTOCOLS, TOKENS, ask, ledger, used, user_at, user_of

# By the protocol of the client, with what the refusal names.
UNTRANSLATABLE: dict[str, tuple[dict[str, Any], str]] = {
    "openai": ({"logit_bias": {"5": 1}}, "logit_bias"),
    "anthropic": ({"top_k": 5}, "top_k"),
}
SPEAKS = dict(zip(PROTOCOLS, reversed(PROTOCOLS), strict=True))
LONG = "a" * 100_000


@pytest.mark.parametrize("prompt", ["Hi", LONG], ids=["short", "long"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_it_is_refused_by_name_and_costs_nothing(
    client: httpx.Client, double: Double, asked: str, streamed: bool, prompt: str
) -> None:
    members, named = UNTRANSLATABLE[asked]
    user = user_at(client, double.url, SPEAKS[asked])
    for _ in range(2):
        reply = ask(user, prompt, asked, stream=streamed, **members)
        assert reply.status_code == 400, reply.text
        assert named in reply.json()["error"]["message"]
        assert reply.headers["x-tokens-charged"] == "0"
        assert reply.headers["x-tokens-left"] == str(TOKENS)
    assert double.calls() == []
    assert used(user) == 0
    assert [entry["op"] for entry in ledger(user)] == ["release", "hold"] * 2 + ["grant"]
    assert ask(user, prompt, asked, stream=streamed).status_code == 200


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_whether_the_call_may_be_made_comes_first(
    client: httpx.Client, double: Double, asked: str
) -> None:
    members, _ = UNTRANSLATABLE[asked]
    poor = user_at(client, double.url, SPEAKS[asked], tokens=1)
    assert ask(poor, "Hi", asked, **members).status_code == 402
    endpoints = {"main": endpoint(double.url, SPEAKS[asked])}
    group: dict[str, Any] = {"tokens": TOKENS, "rate_limit": 10, "rate_limit_window": 60}
    group["models"] = []
    user = Api.new_tenant(client, text_config(endpoints, anonymous=group)).login()
    assert ask(user, "Hi", asked, **members).status_code == 403
    assert [entry["op"] for entry in ledger(user)] == ["grant"]
    assert double.calls() == []


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_a_fallback_that_it_cannot_be_translated_for_is_left_out(
    client: httpx.Client, double: Double, other: Double, asked: str
) -> None:
    members, _ = UNTRANSLATABLE[asked]
    endpoints = {
        "same": endpoint("http://127.0.0.1:1", asked),
        "strange": endpoint(other.url, SPEAKS[asked]),
        "like": endpoint(double.url, asked),
    }
    user = user_of(client, endpoints, ["strange", "like"])
    assert ask(user, "Hi", asked, **members).status_code == 200
    assert other.calls() == []
    assert len(double.calls()) == 1
