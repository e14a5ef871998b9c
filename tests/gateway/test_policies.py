"""What a group may ask for, however it asks; where it may not nothing is taken."""

import itertools
import threading
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PROTOCOLS, ask, body_of, estimate, ledger, turns, used
from tests.processes import eventually

RICH = {"tokens": 100_000, "rate_limit": 100, "rate_limit_window": 60}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "first": {"default_model": "cheap", "models": ["dear", "org/odd"]},
    "second": {"protocol": "anthropic", "default_model": "claude", "models": ["cheap"]},
    "open": {"default_model": "free", "models": ["*"]},
}
ALL = {"cheap", "dear", "org/odd", "claude", "second/cheap", "free"}


def user_in(
    client: httpx.Client,
    double: Double,
    fallback: list[str] | None = None,
    **members: Any,
) -> User:
    """A user of a group with these members, beside groups with others."""
    endpoints = {name: endpoint(double.url, **given) for name, given in ENDPOINTS.items()}
    groups: dict[str, Any] = {
        "anonymous": {**RICH, **members},
        "anonymou": RICH,
        "vip": {**RICH, "models": ["dear"], "max_output": 7},
    }
    return Api.new_tenant(client, text_config(endpoints, fallback, **groups)).login()


def moved(user: User, group: str) -> User:
    assert user.grant({"group": group}).status_code == 200
    return user


# What a group has, and the models that it may ask for: every spelling of each.
SPELLINGS: dict[str, list[str | None]] = {
    "cheap": ["cheap", "first/cheap", "first/", None, ""],
    "dear": ["dear", "first/dear"],
    "org/odd": ["org/odd", "first/org/odd"],
    "claude": ["claude", "second/claude", "second/"],
    "second/cheap": ["second/cheap"],
    "free": ["free", "open/free", "open/", "open/FREE"],
    "open/any": ["open/any", "open/dear", "open/first/cheap"],
}
ALLOWED: dict[str, tuple[list[str] | None, set[str]]] = {
    "all": (None, set(SPELLINGS)),
    "none": ([], set()),
    "one": (["dear"], {"dear"}),
    "one by its endpoint": (["second/cheap"], {"second/cheap"}),
    "one that two have": (["cheap"], {"cheap", "second/cheap"}),
    "one with a slash": (["org/odd"], {"org/odd"}),
    "some": (["claude", "first/dear"], {"claude", "dear"}),
    "any of one": (["open/*"], {"free", "open/any"}),
    "a default one": (["second/"], {"claude"}),
    "one of an open endpoint": (["open/free"], {"free"}),
    "what is not offered": (["unknown", "DEAR", "dear "], set()),
    "everything": (["*"], set(SPELLINGS)),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_group_may_use_its_models_however_they_are_written(
    client: httpx.Client, double: Double, name: str
) -> None:
    models, allowed = ALLOWED[name]
    user = user_in(client, double, **({} if models is None else {"models": models}))
    for model, spellings in SPELLINGS.items():
        for spelling in spellings:
            asked = PROTOCOLS[len(double.calls()) % 2]
            before = len(double.calls())
            reply = ask(user, "Hi", asked, model=spelling)
            if model in allowed:
                assert reply.status_code == 200, (spelling, reply.text)
            else:
                assert_refused(reply, asked, "model_not_allowed")
                assert len(double.calls()) == before
    headers: dict[str, str]
    for headers in ({}, {"anthropic-version": "2023-06-01"}):
        listed = user.api.get("/v1/models", {**user.headers, **headers}).json()["data"]
        assert {model["id"] for model in listed} == allowed & ALL


def assert_refused(reply: httpx.Response, asked: str, code: str) -> None:
    assert reply.status_code == 403, reply.text
    error = reply.json()["error"]
    kind = "permission_error" if asked == "anthropic" else "invalid_request_error"
    assert (error["code"], error["type"]) == (code, kind)
    assert reply.headers["x-should-retry"] == "false"
    assert int(reply.headers["x-tokens-left"]) >= 0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"endpoints": ["realtime", "audio"]}, "endpoint_not_allowed"),
    "nothing": ({"endpoints": []}, "endpoint_not_allowed"),
    "prompts": ({"prompts_only": True}, "prompts_only"),
    "prompts and models": ({"prompts_only": True, "models": ["cheap"]}, "prompts_only"),
    "models": ({"models": ["dear"]}, "model_not_allowed"),
    "input": ({"max_input": 5}, "input_not_allowed"),
    "output for two choices": ({"max_output": 1}, "output_not_allowed"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_a_group_may_not_do_costs_nothing(
    client: httpx.Client, double: Double, name: str, streamed: bool
) -> None:
    members, code = REFUSED[name]
    user = user_in(client, double, ["second", "open"], **members)
    for asked, path in itertools.product(PROTOCOLS, ("", "/v1")):
        extra = {"thinking": {"type": "enabled", "budget_tokens": 50}}
        body = body_of(
            asked, "Hi", stream=streamed, **(extra if asked == "anthropic" else {"n": 2})
        )
        operation = "/chat/completions" if asked == "openai" else "/messages"
        reply = user.api.post(f"{path}/v1{operation}", body, user.headers)
        assert_refused(reply, asked, code)
    assert double.calls() == []
    assert [entry["op"] for entry in ledger(user)] == ["grant"]
    assert user.balance()["rateRemaining"] == 100


def test_each_group_has_its_own_policy(client: httpx.Client, double: Double) -> None:
    user = user_in(client, double, models=["cheap"])
    assert ask(user, "Hi", model="cheap").status_code == 200
    assert_refused(ask(user, "Hi", model="dear"), "openai", "model_not_allowed")
    moved(user, "vip")
    assert_refused(ask(user, "Hi", model="cheap"), "openai", "model_not_allowed")
    assert ask(user, "Hi", model="dear").status_code == 200
    moved(user, "anonymou")
    assert ask(user, "Hi", model="claude").status_code == 200
    assert [call.body["max_tokens"] for call in double.calls()] == [4096, 7, 4096]


def test_a_policy_is_that_of_the_present_config(client: httpx.Client, double: Double) -> None:
    user = moved(user_in(client, double), "vip")
    endpoints = {"first": endpoint(double.url, **ENDPOINTS["first"])}
    vip: dict[str, Any] = {**RICH, "models": ["cheap"]}
    wide = text_config(endpoints, anonymous=RICH, vip=vip)
    assert user.api.put_config(wide).status_code == 200
    assert ask(user, "Hi", model="cheap").status_code == 200
    assert user.api.put_config(text_config(endpoints, anonymous=RICH)).status_code == 200
    for asked in PROTOCOLS:
        assert_refused(ask(user, "Hi", asked), asked, "group_not_allowed")
    reply = user.api.get("/v1/models", user.headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "group_not_allowed")
    assert user.charge(1).status_code == 200


def test_a_fallback_is_tried_only_where_the_group_may_use_its_model(
    client: httpx.Client, double: Double
) -> None:
    failing = double.script("x", *[Answer(status=503)] * 20)
    for models, sent in (
        (["dear"], ["dear"]),
        (["dear", "free"], ["dear", "free"]),
        (["dear", "second/claude"], ["dear", "claude"]),
        (None, ["dear", "claude", "free"]),
    ):
        before = len(double.calls())
        user = user_in(client, double, ["second", "open"], models=models)
        assert ask(user, failing, model="dear").status_code == 502
        assert [call.body["model"] for call in double.calls()[before:]] == sent


def test_a_hold_is_for_what_the_group_may_cost(client: httpx.Client, double: Double) -> None:
    user = user_in(client, double, max_output=30)
    for limit, sent in ((None, 30), (20, 20), (9_999, 30)):
        assert ask(user, "Hi", max_tokens=limit).status_code == 200
        assert double.calls()[-1].body["max_tokens"] == sent
        assert -ledger(user)[1]["tokens"] == estimate(turns("Hi")) + sent
    assert ask(user, "Hi", n=4).status_code == 200
    assert double.calls()[-1].body["max_tokens"] == 7
    thinking = {"type": "enabled", "budget_tokens": 30}
    for limit, status in ((100, 403), (20, 200)):
        reply = ask(user, "Hi", "anthropic", model="claude", thinking=thinking, max_tokens=limit)
        assert reply.status_code == status, reply.text


def test_the_input_that_a_group_may_send(client: httpx.Client, double: Double) -> None:
    most = estimate(turns("a" * 100))
    user = user_in(client, double, max_input=most)
    assert ask(user, "a" * 100).status_code == 200
    assert_refused(ask(user, "a" * 104), "openai", "input_not_allowed")


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_at_the_same_time(client: httpx.Client, double: Double, streamed: bool) -> None:
    user = user_in(client, double, concurrent=2)
    user.hold({"tokens": 5})  # no call
    slow = double.script("slow", *[Answer(stop_at=0)] * 2)
    callers = [threading.Thread(target=ask, args=(user, slow)) for _ in range(2)]
    for caller in callers:
        caller.start()
    eventually(lambda: len(double.calls("slow")) == 2)
    left = user.balance()["rateRemaining"]
    for asked in PROTOCOLS:
        reply = ask(user, "Hi", asked, stream=streamed)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "5"), reply.text
        assert reply.json()["error"]["code"] == "too_many_calls"
    assert user.balance()["rateRemaining"] == left
    double.release("slow")
    for caller in callers:
        caller.join(20)
    eventually(lambda: user.balance()["tokensHeld"] == 5)
    assert ask(user, "Hi", stream=streamed).status_code == 200


def test_calls_at_the_same_time_are_counted_exactly(client: httpx.Client, double: Double) -> None:
    user = user_in(client, double, concurrent=3)
    slow = double.script("slow", *[Answer(stop_at=0)] * 20)
    replies: list[httpx.Response] = []
    callers = [
        threading.Thread(target=lambda: replies.append(ask(user, slow, max_tokens=10)))
        for _ in range(20)
    ]
    for caller in callers:
        caller.start()
    eventually(lambda: len(replies) == 17)
    assert {reply.status_code for reply in replies} == {429}
    double.release("slow")
    for caller in callers:
        caller.join(20)
    assert [reply.status_code for reply in replies[17:]] == [200] * 3
    assert used(user) == 3 * 25


WRONG: list[dict[str, Any]] = [
    {"models": "cheap"},
    {"models": [""]},
    {"models": [5]},
    {"max_output": 0},
    {"max_output": 1.5},
    {"max_input": 0},
    {"concurrent": 0},
    {"concurrent": 51},
    {"endpoints": ["text", "video"]},
    {"endpoints": "text"},
    {"prompts_only": "yes"},
]


@pytest.mark.parametrize("members", WRONG)
def test_a_policy_that_is_none(api: Api, members: dict[str, Any]) -> None:
    reply = api.put_config(text_config({"a": {}}, anonymous={**RICH, **members}))
    assert reply.status_code == 422
    (name,) = members
    paths = {fault["path"] for fault in reply.json()["details"]}
    assert all(path.startswith(f"user_groups.anonymous.{name}") for path in paths)
