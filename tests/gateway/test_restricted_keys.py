"""Calls with a restricted key: never more than its tokens, whatever the concurrency, and only what
it is for."""

import asyncio
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.callers import Load
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import (
    PATHS,
    PROTOCOLS,
    ask,
    body_of,
    estimate,
    stream,
    streaming,
    turns,
    user_at,
    user_of,
)
from tests.hurried import Hurried
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey, eventually
from tests.stored import let_holds_expire, record

KEY = 2_000
INPUT, OUTPUT = 20, 5
COST = INPUT + OUTPUT
"""Of the double's usual answer."""
PROMPT = estimate(turns("#many"))


def shown(user: User) -> tuple[int, int, int]:
    balance = user.balance()
    return balance["tokensLeft"], balance["tokensHeld"], balance["tokensUsed"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_is_the_users_and_the_keys(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, protocol)
    key = user.restricted(tokens=KEY)
    reply = ask(key, "Hello", protocol)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-tokens-left"] == str(KEY - COST)
    stream(key, "Hello", protocol)
    assert ask(user, "Hello", protocol).status_code == 200
    assert shown(key) == (KEY - 2 * COST, 0, 2 * COST)
    assert user.balance()["tokensUsed"] == 3 * COST
    (listed,) = user.restricted_keys()
    assert (listed["tokensLeft"], listed["tokensUsed"]) == (KEY - 2 * COST, 2 * COST)


async def concurrently(server: Server, key: User, calls: int, **members: Any) -> Counter[int]:
    path = f"/{key.api.tenant_id}{PATHS['openai']}"
    async with Load(server.url, calls) as load:
        answers = await asyncio.gather(
            *(
                load.call("POST", path, key.headers, body_of("openai", "#many", **members))
                for _ in range(calls)
            ),
            return_exceptions=True,
        )
    return Counter(answer.status for answer in answers if not isinstance(answer, BaseException))


async def test_100_calls_at_once_spend_what_it_may_and_no_more(
    client: httpx.Client, gateway: Server, double: Double, valkey: Valkey
) -> None:
    """Each holds what it costs, and the last one what is left."""
    user = user_at(client, double.url)
    double.script("many", Answer(input_tokens=PROMPT))
    tokens = 11 * (PROMPT + OUTPUT) - 1
    key = user.restricted(tokens=tokens)
    found = await concurrently(gateway, key, 100, max_completion_tokens=OUTPUT)
    assert found[200] == 11
    assert set(found) <= {200, 402, 429}
    assert shown(key) == (0, 0, tokens)
    assert user.balance()["tokensUsed"] == tokens
    refused = ask(key, "#many")
    assert (refused.status_code, refused.headers["x-tokens-left"]) == (402, "0")
    assert ask(user, "#many").status_code == 200
    assert audit(valkey, user.api).returncode == 0


async def test_costs_beyond_what_was_held_overspend_it_by_one_calls(
    client: httpx.Client, gateway: Server, double: Double, valkey: Valkey
) -> None:
    """50 calls at a time, each of which costs 100 more than was estimated."""
    user = user_at(client, double.url)
    double.script("many", Answer(input_tokens=PROMPT + 100, delay=0.5))
    key = user.restricted(tokens=KEY)
    found = await concurrently(gateway, key, 50, max_completion_tokens=OUTPUT)
    assert found == {200: 50}
    spent = key.balance()["tokensUsed"]
    assert KEY < spent <= KEY + 100
    assert user.balance()["tokensUsed"] == spent
    assert record(valkey, user)["overrun"] == 50 * (PROMPT + 100 + OUTPUT) - spent
    assert ask(key, "#many").status_code == 402
    assert audit(valkey, user.api).returncode == 0


async def test_100_calls_and_a_worker_that_is_killed_amid_them(
    client: httpx.Client, double: Double, valkey: Valkey, tmp_path: Path
) -> None:
    """What it held comes back to the key, and no more than that."""
    user = user_at(client, double.url)
    double.script("many", Answer(input_tokens=PROMPT, stop_at=1))
    tokens = 40 * (PROMPT + OUTPUT)
    key = user.restricted(tokens=tokens)
    # Calls wait for tokens for no longer than a moment.
    timeouts = {"tokens_held": 0.5, "ask_again": 0.1}
    with Hurried(tmp_path / "out", valkey.url, timeouts, WORKERS="2") as server:
        asking = asyncio.create_task(concurrently(server, key, 100, max_completion_tokens=OUTPUT))
        await asyncio.to_thread(eventually, lambda: shown(key) == (0, tokens, 0))
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        double.release("many")
        first = await asking
        let_holds_expire(valkey, user)
        used = first[200] * (PROMPT + OUTPUT)
        assert shown(key) == (tokens - used, 0, used)
        await concurrently(server, key, 100, max_completion_tokens=OUTPUT)
    assert shown(key) == (0, 0, tokens)
    assert user.balance()["tokensUsed"] == tokens
    assert audit(valkey, user.api).returncode == 0


def test_a_call_that_outlives_its_hold_is_the_keys_all_the_same(
    client: httpx.Client, double: Double, valkey: Valkey
) -> None:
    double.script("waits", Answer(stop_at=2))
    user = user_at(client, double.url)
    key = user.restricted(tokens=KEY)
    with streaming(key, "#waits") as reply:
        let_holds_expire(valkey, user)
        assert shown(key) == (KEY, 0, 0)
        double.release("waits")
        reply.read()
    eventually(lambda: shown(key) == (KEY - COST, 0, COST))
    assert user.balance()["tokensUsed"] == COST


def test_a_call_is_finished_after_its_key_was_revoked(client: httpx.Client, double: Double) -> None:
    double.script("waits", Answer(stop_at=2))
    user = user_at(client, double.url)
    key = user.restricted(tokens=KEY)
    with streaming(key, "#waits") as reply:
        path = f"/{user.api.tenant_id}/keys/{key.api_key}"
        assert client.delete(path, headers=user.headers).status_code == 204
        assert ask(key, "Hello").status_code == 401
        double.release("waits")
        reply.read()
    eventually(lambda: user.balance()["tokensUsed"] == COST)
    assert user.restricted_keys() == []


def test_the_balance_and_the_keys_tokens_bound_it_both(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, tokens=50)
    key = user.restricted(tokens=KEY)
    assert ask(key, "Hello").headers["x-tokens-left"] == str(50 - COST)
    refused = ask(key, "Hello", max_tokens=1_000)
    assert refused.status_code == 200, "cut to what is left"
    assert ask(key, "Hello").status_code == 402


def test_a_call_waits_for_what_others_of_its_key_hold(client: httpx.Client, double: Double) -> None:
    """And not for what the key could not get from them."""
    double.script("waits", Answer(input_tokens=1, stop_at=2))
    user = user_at(client, double.url)
    key, other = user.restricted(tokens=2 * PROMPT), user.restricted(tokens=PROMPT)
    with ThreadPoolExecutor(1) as aside, streaming(key, "#waits") as reply:
        assert shown(key)[0] == 0
        refused = ask(other, "Hello, you")
        assert refused.status_code == 402
        assert "held" not in refused.json()["error"]["message"]
        waiting = aside.submit(ask, key, "Hi")
        assert not wait([waiting], 0.3).done, "it waits"
        double.release("waits")
        reply.read()
        assert waiting.result().status_code == 200


MAIN: dict[str, Any] = {"default_model": "main-model", "models": ["second", "a/b"]}
NAMES = ["main-model", "second", "a/b", "other/main-model", "third"]


@pytest.fixture
def user(client: httpx.Client, double: Double, other: Double) -> User:
    return user_of(
        client,
        {
            "main": endpoint(double.url, **MAIN),
            "other": endpoint(other.url, default_model="main-model", models=["third"]),
        },
        fallback=["other"],
    )


SPELLINGS: dict[str, list[str | None]] = {
    "main-model": ["main-model", "main/main-model", "main/", None],
    "second": ["second", "main/second"],
    "a/b": ["a/b", "main/a/b"],
    "other/main-model": ["other/main-model", "other/"],
    "third": ["third", "other/third"],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_is_for_its_models_however_they_are_spelled(
    user: User, double: Double, other: Double, protocol: str
) -> None:
    listed = user.api.get("/v1/models", user.headers).json()["data"]
    assert [model["id"] for model in listed] == NAMES
    for name in NAMES:
        for given in [name, *(one for one in SPELLINGS[name] if one and not one.endswith("/"))]:
            key = user.restricted(tokens=KEY, models=[given])
            models = user.api.get("/v1/models", key.headers).json()["data"]
            assert [model["id"] for model in models] == [name]
            for asked, spellings in SPELLINGS.items():
                for spelling in spellings:
                    reply = ask(key, "Hello", protocol, model=spelling)
                    if asked == name:
                        assert reply.status_code == 200, (given, spelling)
                    else:
                        assert reply.status_code == 403, (given, spelling)
                        assert reply.headers["x-should-retry"] == "false"
            user.api.client.delete(
                f"/{user.api.tenant_id}/keys/{key.api_key}", headers=user.headers
            )


def test_what_it_is_not_for_costs_nothing_and_asks_nobody(user: User, double: Double) -> None:
    key = user.restricted(tokens=KEY, models=["second"])
    reply = ask(key, "Hello", model="main-model")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (403, "model_not_allowed", "model")
    assert "main-model" in error["message"]
    assert double.calls() == []
    for nothing in (
        user.restricted(tokens=KEY, models=[]),
        user.restricted(tokens=KEY, prompts=["haiku"]),
    ):
        assert ask(nothing, "Hello").status_code == 403
        assert user.api.get("/v1/models", nothing.headers).json()["data"] == []
    assert shown(key) == (KEY, 0, 0)
    path = f"/{user.api.tenant_id}/keys/{key.api_key}"
    assert user.api.client.delete(path, headers=user.headers).status_code == 204
    for model in ("main-model", "second"):  # what it was for does not matter any more
        assert ask(key, "Hello", model=model).status_code == 401


def test_a_fallback_is_tried_only_where_it_is_for_that(
    user: User, double: Double, other: Double
) -> None:
    double.script("down", Answer(status=500))
    answers = {}
    for models in (["main-model"], ["main-model", "other/main-model"]):
        answers[len(models)] = ask(user.restricted(tokens=KEY, models=models), "#down").status_code
    assert answers == {1: 502, 2: 200}
    assert len(other.calls()) == 1


ORIGIN = {"Origin": "https://app.example"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_is_for_pages_of_its_origins(user: User, double: Double, protocol: str) -> None:
    key = user.restricted(tokens=KEY, origins=["https://app.example"])
    assert ask(key, "Hello", protocol, headers=ORIGIN).status_code == 200
    calls = len(double.calls())
    for headers in ({}, {"Origin": "https://other.example"}, {"Origin": "null"}):
        refused = ask(key, "Hello", protocol, headers=headers)
        assert refused.status_code == 403
        assert refused.json()["error"]["message"] == "Origin not allowed"
        for path in ("/balance", "/v1/models"):
            reply = user.api.get(path, {**key.headers, **headers})
            assert reply.status_code == 403, path
    assert len(double.calls()) == calls
    assert user.api.get("/balance", {**key.headers, **ORIGIN}).status_code == 200
