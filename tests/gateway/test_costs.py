"""What a call costs, as it is reported or must be estimated, and what the ledger says of it."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.gateway.asking import (
    PROTOCOLS,
    TOKENS,
    ask,
    estimate,
    ledger,
    turns,
    used,
    user_at,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending
from tests.processes import eventually

SMALL = 1_000


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_ledger_says_what_a_call_cost(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(input_tokens=31, output_tokens=12, cached_tokens=10))
    user = user_at(client, double.url, protocol, weight=3)
    reply = ask(user, prompt, protocol, stream=streamed, headers={"X-Request-ID": "of-the-caller"})
    assert reply.status_code == 200
    settle, hold, grant = ledger(user)
    call = {"requestId": "of-the-caller", "endpoint": "main", "model": f"{protocol}-model"}
    assert (grant["op"], hold["op"], settle["op"]) == ("grant", "hold", "settle")
    assert hold["ref"] == call
    assert settle["ref"] == {**call, "input": 31, "output": 12}
    assert -(hold["tokens"] + settle["tokens"]) == 3 * 43 == used(user)
    if not streamed:
        assert reply.headers["x-tokens-charged"] == "129"
        assert reply.headers["x-tokens-left"] == str(user.balance()["tokensLeft"])


NAMES: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    "the default one": ({}, None, "openai-model"),
    "another": ({"models": ["other"]}, "other", "other"),
    "by its endpoint": ({"models": ["other"]}, "main/other", "other"),
    "a long one": ({"models": ["m" * 2_000]}, "m" * 2_000, "m" * 100),
    "a described one": ({"models": [{"name": "other"}]}, "other", "other"),
    "a stranger's": ({"models": ["other", "*"]}, "main/" + "m" * 90, None),
    "a part of one": ({"models": ["other", "*"]}, "main/othe", None),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_names_only_models_of_the_config(
    client: httpx.Client, double: Double, name: str
) -> None:
    members, model, expected = NAMES[name]
    user = user_at(client, double.url, **members)
    assert ask(user, "Hi", model=model).status_code == 200
    assert [entry["ref"].get("model") for entry in ledger(user)] == [expected, expected, None]


_NO_COUNTS: list[Any] = ["12", 1.5, -1, True, 10**13 + 1, [], {}]
NOT_REPORTED = {
    "absent": Answer(usage="absent", pieces=["abcdefgh"] * 10),
    **{str(value): Answer(malformed=value, pieces=["abcdefgh"] * 10) for value in _NO_COUNTS},
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NOT_REPORTED)
def test_usage_that_is_not_reported_is_estimated(
    client: httpx.Client, double: Double, name: str, protocol: str, streamed: bool
) -> None:
    prompt = double.script("x", NOT_REPORTED[name])
    user = user_at(client, double.url, protocol, weight=3)
    assert ask(user, prompt, protocol, stream=streamed).status_code == 200
    expected = {"input": estimate(turns(prompt)), "output": 20, "estimated": True}
    assert used(user) == 3 * (expected["input"] + expected["output"])
    found = ledger(user)[0]["ref"]
    assert {name: found[name] for name in expected} == expected


def test_usage_that_its_weight_makes_too_large_is_estimated(
    client: httpx.Client, double: Double
) -> None:
    prompt = double.script("x", Answer(input_tokens=10**11))
    user = user_at(client, double.url, weight=1000)
    assert ask(user, prompt).status_code == 200
    assert ledger(user)[0]["ref"]["estimated"] is True
    assert used(user) < SMALL * 1000


def test_a_cost_above_the_balance_takes_what_is_left(client: httpx.Client, double: Double) -> None:
    prompt = double.script("x", Answer(input_tokens=5_000))
    user = user_at(client, double.url, tokens=SMALL)
    reply = ask(user, prompt)
    assert (reply.status_code, reply.headers["x-tokens-left"]) == (200, "0")
    assert reply.headers["x-tokens-charged"] == str(SMALL)
    assert ask(user, prompt).status_code == 402


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_an_error_of_the_provider_costs_nothing(
    client: httpx.Client, double: Double, protocol: str, streamed: bool, status: int
) -> None:
    prompt = double.script("x", Answer(status=status))
    user = user_at(client, double.url, protocol)
    reply = ask(user, prompt, protocol, stream=streamed)
    assert reply.status_code == (502 if status in (401, 500) else status)
    if not streamed:
        assert reply.headers["x-tokens-charged"] == "0"
    assert used(user) == 0
    assert ledger(user)[0]["tokensLeft"] == user.balance()["tokensLeft"]


def test_a_client_that_leaves_a_whole_reply_pays_for_it(
    client: httpx.Client, double: Double
) -> None:
    prompt = double.script("x", Answer(stop_at=0))
    user = user_at(client, double.url)
    with httpx.Client(base_url=client.base_url, timeout=0.3) as leaver:
        user.api.client = leaver
        with pytest.raises(httpx.ReadTimeout):
            ask(user, prompt)
    user.api.client = client
    eventually(lambda: double.calls("x"))
    double.release("x")
    assert used(user) == 25
    assert double.calls()[0].finished


@pytest.mark.parametrize("streamed", [False, True])
def test_a_whole_answer_without_usage_is_estimated_though_it_may_have_reasoned(
    client: httpx.Client, double: Double, streamed: bool
) -> None:
    prompt = double.script("x", NOT_REPORTED["absent"])
    user = user_at(client, double.url, reasoning=True)
    assert ask(user, prompt, stream=streamed).status_code == 200
    assert used(user) == estimate(turns(prompt)) + 20


WORDS = "abcdefgh" * 10
"""20 tokens by our count."""
# How many tokens of input and output are reported in the beginning, of output later, the
# endpoint's members, and the cost if the stream breaks off after that.
AS_FAR_AS_IT_HAD_GOT: dict[str, tuple[int, int, int, dict[str, Any], int]] = {
    "less than we counted": (30, 1, 2, {}, 30 + 20),
    "more than we counted": (30, 1, 50, {}, 30 + 50),
    "times the weight": (30, 1, 50, {"weight": 3}, 3 * (30 + 50)),
    "more than the hold": (5_000, 1, 50, {"reasoning": True}, 5_000 + 50),
    "with what we counted too large": (10**10 - 1, 1, 1, {"weight": 1000}, TOKENS),
}


@pytest.mark.parametrize("name", AS_FAR_AS_IT_HAD_GOT)
def test_a_stream_of_anthropics_that_breaks_off(client: httpx.Client, name: str) -> None:
    """Its input is reported first, and its output as far as it had got."""
    first, begun, later, members, cost = AS_FAR_AS_IT_HAD_GOT[name]
    usage = {"input_tokens": first, "output_tokens": begun}
    block = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": WORDS},
        },
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": later}},
    ]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    with RawProvider(sending(HEAD, text.encode())) as provider:
        user = user_at(client, provider.url, "anthropic", **members)
        reply = ask(user, "Hi", "anthropic", stream=True)
    assert "provider_error" in reply.text
    assert used(user) == cost
    assert ledger(user)[-3]["ref"]["estimated"] is True
