"""What models cost that the tenant describes: exact thousandths, rounded up once."""

from fractions import Fraction
from math import ceil
from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import (
    PROTOCOLS,
    TOKENS,
    ask,
    estimate,
    ledger,
    stream,
    turns,
    used,
    user_at,
    user_of,
)

# The members of a model, and the weights of input, cached input and output that they make where
# the endpoint's is 3.
WEIGHTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "none": ({}, "3", "3", "3"),
    "one for all": ({"weight": 16.7}, "16.7", "16.7", "16.7"),
    "one for each": (
        {"input_weight": 0.15, "cached_weight": 0.075, "output_weight": 0.6},
        *("0.15", "0.075", "0.6"),
    ),
    "some": ({"weight": 2, "output_weight": 8.001}, "2", "2", "8.001"),
    "the least": ({"weight": 0.001}, "0.001", "0.001", "0.001"),
    "the most": ({"weight": 1000}, "1000", "1000", "1000"),
    "no float has it": ({"weight": 0.1, "output_weight": 0.7}, "0.1", "0.1", "0.7"),
    "a dear cache": ({"weight": 1, "cached_weight": 1.25}, "1", "1.25", "1"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", WEIGHTS)
def test_what_a_model_costs(
    client: httpx.Client, double: Double, name: str, streamed: bool, protocol: str
) -> None:
    members, *weights = WEIGHTS[name]
    of_input, of_cached, of_output = map(Fraction, weights)
    prompt = double.script("x", Answer(input_tokens=31, output_tokens=12, cached_tokens=10))
    described = {"name": "dear", **members}
    user = user_at(client, double.url, protocol, weight=3, models=[described])
    if streamed:
        stream(user, prompt, protocol, model="dear")
    else:
        assert ask(user, prompt, protocol, model="dear").status_code == 200
    cost = ceil(21 * of_input + 10 * of_cached + 12 * of_output)
    assert used(user) == cost
    settle, hold, _ = ledger(user)
    limit = 100 if protocol == "anthropic" else 4096
    most = max(of_input, of_cached) * estimate(turns(prompt)) + of_output * limit
    assert -hold["tokens"] == min(ceil(most), TOKENS)
    assert settle["tokens"] == -hold["tokens"] - cost


def test_the_default_model_has_the_weight_of_its_entry(
    client: httpx.Client, double: Double
) -> None:
    models = [{"name": "openai-model", "weight": 2}, "other"]
    user = user_at(client, double.url, weight=5, models=models)
    prompt = double.script("x", Answer(input_tokens=10, output_tokens=1))
    models_asked = (None, "openai-model", "main/openai-model", "main/", "other")
    replies = [ask(user, prompt, model=model) for model in models_asked]
    assert [reply.headers["x-tokens-charged"] for reply in replies] == [*["22"] * 4, "55"]
    listed = user.api.get("/v1/models", user.headers).json()["data"]
    assert [model["id"] for model in listed] == ["openai-model", "other"]


def test_a_fallback_has_its_own_models_weight(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = {
        "first": endpoint(double.url, models=["shared"]),
        "second": endpoint(other.url, models=[{"name": "shared", "weight": 1.5}]),
    }
    user = user_of(client, endpoints, ["second"])
    assert ask(user, prompt, model="shared").status_code == 200
    assert used(user) == ceil(1.5 * 25)


def test_the_limit_that_is_sent_fits_what_is_held(client: httpx.Client, double: Double) -> None:
    dear = {"name": "dear", "input_weight": 2.5, "output_weight": 10.7}
    user = user_at(client, double.url, tokens=1_000, models=[dear])
    assert ask(user, "Hi", model="dear", n=3).status_code == 200
    (call,) = double.calls()
    left = 1_000 - Fraction("2.5") * estimate(turns("Hi"))
    assert call.body["max_tokens"] == left // (Fraction("10.7") * 3)


def test_a_models_own_output_limit(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, models=[{"name": "short", "max_output": 7}])
    for members in ({"model": "short"}, {}, {"model": "short", "max_tokens": 9}):
        assert ask(user, "Hi", **members).status_code == 200
    assert [call.body["max_tokens"] for call in double.calls()] == [7, 4096, 9]


@pytest.mark.parametrize("model", ["main/DEAR", "main/ dear", "main/Dear ", "main/dear"])
def test_a_described_model_has_its_price_however_it_is_written(
    client: httpx.Client, double: Double, model: str
) -> None:
    """Where any may be asked for."""
    user = user_at(client, double.url, models=["*", {"name": "dear", "weight": 100}])
    assert ask(user, "Hi", model=model).status_code == 200
    assert double.calls()[0].body["model"] == "dear"
    assert used(user) == 100 * 25


REFUSED: dict[str, tuple[Any, str]] = {
    "no name": ({"weight": 1}, ".name"),
    "an empty name": ("", ""),
    "a number": (5, ""),
    "a text for a weight": ({"name": "a", "weight": "1"}, ".weight"),
    "true for a weight": ({"name": "a", "weight": True}, ".weight"),
    "no weight": ({"name": "a", "weight": 0}, ".weight"),
    "a negative weight": ({"name": "a", "output_weight": -1}, ".output_weight"),
    "too many decimals": ({"name": "a", "cached_weight": 0.0015}, ".cached_weight"),
    "too small a weight": ({"name": "a", "input_weight": 0.0009}, ".input_weight"),
    "too large a weight": ({"name": "a", "weight": 1000.001}, ".weight"),
    "no output": ({"name": "a", "max_output": 0}, ".max_output"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_is_none(api: Api, name: str) -> None:
    model, path = REFUSED[name]
    value = text_config({"main": endpoint("https://provider.example", models=["x", model])})
    reply = api.put_config(value)
    assert reply.status_code == 422, reply.text
    assert [fault["path"] for fault in reply.json()["details"]] == [
        f"providers.text.endpoints.main.models.1{path}"
    ]


@pytest.mark.parametrize("models", [[{"name": "a"}, {"name": "a"}], [{"name": "*"}]])
def test_models_that_contradict_each_other(api: Api, models: list[Any]) -> None:
    value = text_config({"main": endpoint("https://provider.example", models=models)})
    reply = api.put_config(value)
    assert reply.status_code == 422
    (fault,) = reply.json()["details"]
    assert fault["path"] == "providers.text.endpoints.main.models"


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_the_list_of_models_says_what_each_costs(
    client: httpx.Client, double: Double, headers: dict[str, str]
) -> None:
    models = [
        {"name": "a", "weight": 16.7},
        {"name": "b", "output_weight": 4, "cached_weight": 0.1},
    ]
    user = user_at(client, double.url, models=models)
    listed = user.api.get("/v1/models", {**user.headers, **headers}).json()["data"]
    assert [model.get("vibe") for model in listed] == [
        None,
        {"input": 16.7, "cached": 16.7, "output": 16.7},
        {"input": 1, "cached": 0.1, "output": 4},
    ]
