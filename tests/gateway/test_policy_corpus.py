"""Whatever a request looks like, nothing reaches a provider that the user's group may not have.

Every route, every member of a group, and every way to say what it closes.
"""

import json
import threading
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import turns
from tests.openapi import unopened_app
from tests.processes import eventually

RICH: dict[str, Any] = {"tokens": 10_000_000, "rate_limit": 10_000, "rate_limit_window": 60}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "first": {"default_model": "cheap", "models": ["dear"]},
    "second": {"protocol": "anthropic", "default_model": "claude", "models": ["dear-claude"]},
    "open": {"default_model": "free", "models": ["*"]},
}
DEAR, MUCH, LONG = "dear", 9_999, "x" * 600
# What a group has, and what of a request it closes: none of that may be in one that is sent.
GROUPS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "models": ({"models": ["cheap", "claude"]}, [DEAR]),
    "output": ({"max_output": 20}, [MUCH]),
    "input": ({"max_input": 60}, [LONG]),
    "all": (
        {"models": ["cheap", "claude"], "max_output": 20, "max_input": 60, "concurrent": 1},
        [DEAR, MUCH, LONG],
    ),
    "endpoints": ({"endpoints": ["images"]}, [""]),
    "prompts": ({"prompts_only": True}, [""]),
}
RESPONSES = "/v1/responses"
ROUTES = [
    *("/v1/chat/completions", "/v1/v1/chat/completions", "/v1/messages", "/v1/v1/messages"),
    RESPONSES,
]

MODELS: list[Any] = [
    *(DEAR, f"first/{DEAR}", f"first//{DEAR}", f"/{DEAR}", f"//{DEAR}", f"./first/{DEAR}"),
    *(f"open/{DEAR}", f"open/first/{DEAR}", f"second/{DEAR}", f"FIRST/{DEAR}", f"first/{DEAR}/"),
    *(f"second/{DEAR}-claude", f"{DEAR}-claude", f"open/{DEAR}-claude", f"openai/{DEAR}"),
    *(
        DEAR.upper(),
        DEAR.title(),
        f" {DEAR}",
        f"{DEAR} ",
        f"{DEAR}\n",
        f"{DEAR}\0",
        f"\ufeff{DEAR}",
    ),
    *(
        f"first/ {DEAR}",
        f"first /{DEAR}",
        f"open/{DEAR.upper()}",
        f"open/ {DEAR}",
        f"open/\t{DEAR}",
    ),
    *(
        f"{DEAR}:latest",
        f"{DEAR}@1",
        f"{DEAR}?a=b",
        f"{DEAR}#",
        f"cheap,{DEAR}",
        f"cheap/../{DEAR}",
    ),
    *([DEAR], ["cheap", DEAR], {"name": DEAR}, {"id": DEAR}, f'"{DEAR}"', f"prompt/{DEAR}"),
]
OTHER_MODELS: list[dict[str, Any]] = [
    *({name: DEAR} for name in ("Model", "MODEL", "mOdel", "model ", "model_name")),
    *({name: DEAR} for name in ("engine", "deployment_id", "deploymentId", "preset", "route")),
    *({name: [DEAR]} for name in ("models", "Models", "fallbacks", "fallback_s")),
    *({name: {"model": DEAR}} for name in ("extra_body", "extraBody", "provider", "extra_query")),
    {"provider_options": {"models": [DEAR]}},
]
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
OUTPUT: list[dict[str, Any]] = [
    *({name: MUCH} for name in (*_LIMITS, "maxTokens", "Max_Tokens", "max-tokens", "MAX_TOKENS ")),
    *({name: MUCH} for name in ("max_tokens_to_sample", "n_predict", "num_predict", "max_length")),
    *({name: str(MUCH)} for name in _LIMITS),
    *({name: [MUCH]} for name in _LIMITS),
    *({name: float(MUCH)} for name in _LIMITS),
    *({"max_tokens": None, name: MUCH} for name in _LIMITS[1:]),
    *({"max_tokens": 5, "n": value} for value in (5, 128, MUCH, "5", [5], 5.0, True)),
    *({"max_tokens": 5, name: MUCH} for name in ("N", "best_of", "num_return_sequences")),
    {"max_tokens": 20, "n": 2},
    {"extra_body": {"max_tokens": MUCH}},
    {"max_tokens": MUCH, "thinking": {"type": "enabled", "budget_tokens": 50}},
    {"thinking": {"type": "enabled", "budget_tokens": 50}},
]
_TOOL = {"name": "f", "description": LONG}
_PICTURE = f"data:image/png;base64,{LONG}"
INPUT: list[dict[str, Any]] = [
    {"messages": turns(LONG)},
    {"messages": turns([{"type": "text", "text": LONG}])},
    {"messages": turns([{"type": "text", "text": "Hi"}, {"type": "text", "text": LONG}])},
    {"messages": [*turns("Hi"), {"role": "assistant", "content": LONG}, *turns("Hi")]},
    {"messages": [{"role": "system", "content": LONG}, *turns("Hi")]},
    {"messages": [{"role": "user", "content": "Hi", "name": LONG}]},
    {"messages": [{"role": "user", "content": "Hi", "x_own": [LONG]}]},
    {"messages": turns([{"type": "image_url", "image_url": {"url": _PICTURE}}])},
    {"system": LONG},
    {"system": [{"type": "text", "text": LONG}]},
    {"tools": [{"type": "function", "function": _TOOL}]},
    {"tools": [{**_TOOL, "input_schema": {"type": "object"}}]},
    {"functions": [_TOOL]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {LONG: 1}}}},
    {"prediction": {"type": "content", "content": LONG}},
    *({name: LONG} for name in ("prompt", "suffix", "Messages", "documents", "x_own", "System")),
    *({name: {"a": LONG}} for name in ("extra_body", "extra_headers", "chat_template_kwargs")),
    {"tool_choice": LONG},
    {"reasoning_effort": LONG},
]
# Members as they stand in the JSON: the last one counts, however its name is written.
RAW = [
    *(f'"model":{json.dumps(one)},"model":"{DEAR}"' for one in ("cheap", DEAR, None)),
    f'"model":"{DEAR}","model":"cheap"',
    f'"model":"cheap","m\\u006fdel":"{DEAR}"',
    '"model":"d\\u0065ar"',
    f'"max_tokens":5,"max_tokens":{MUCH}',
    f'"max_tokens":{MUCH},"max_tokens":5',
    '"max_tokens":9.999e3',
    f'"max_tokens":5,"max_\\u0074okens":{MUCH}',
    f'"messages":{json.dumps(turns(LONG))}',
    f'"messages":{json.dumps(turns("Hi"))},"messages":{json.dumps(turns(LONG))}',
    f'"messages":{json.dumps(turns(LONG))},"messages":{json.dumps(turns("Hi"))}',
]


def bodies() -> list[bytes]:
    found: list[bytes] = []
    for model in ("cheap", "claude"):
        base = {"model": model, "max_tokens": 10, "messages": turns("Hi")}
        said: list[dict[str, Any]] = [{"model": one} for one in MODELS]
        members = (*said, *OTHER_MODELS, *OUTPUT, *INPUT)
        found += [json.dumps({**base, **one}).encode() for one in members]
        text = json.dumps(base)
        found += [f"{text[:-1]},{one}}}".encode() for one in RAW]
    return found


BODIES = bodies()


OF_OTHERS = {
    f"{again}/v1/{path}"
    for again in ("", "/v1")
    for path in ("embeddings", "messages/count_tokens", "moderations", "realtime/client_secrets")
} | {f"/v1{RESPONSES}"}  # the same handler, and time is short


# Of responses the one group that closes all: what they share with chats is tried with those.
CASES = [
    (name, route) for name in GROUPS for route in ROUTES if name == "all" or route != RESPONSES
]


def test_these_are_all_routes() -> None:
    """To a provider of text; one that is new belongs into the corpus."""
    routes = {
        "/" + route.path.partition("/")[2]
        for route in unopened_app().router.routes
        if getattr(route.ctx, "speaks", None) and "POST" in route.methods
    }
    assert routes - OF_OTHERS == set(ROUTES)


def user_in(client: httpx.Client, double: Double, group: dict[str, Any]) -> User:
    endpoints = {name: endpoint(double.url, **given) for name, given in ENDPOINTS.items()}
    config = text_config(endpoints, ["second", "open"], anonymous={**RICH, **group}, other=RICH)
    return Api.new_tenant(client, config).login()


def post(user: User, route: str, body: bytes) -> httpx.Response:
    if route == RESPONSES:
        body = body.replace(b'"messages"', b'"input"').replace(b"max_tokens", b"max_output_tokens")
    return user.api.client.post(f"/{user.api.tenant_id}{route}", content=body, headers=user.headers)


def marks(call: Any, closed: list[Any]) -> list[Any]:
    """Those that are in what a provider got."""
    text = json.dumps([call.path, call.headers, call.body], ensure_ascii=False).casefold()
    return [mark for mark in closed if str(mark) in text]


@pytest.mark.parametrize(("name", "route"), CASES)
def test_nothing_passes_that_a_group_may_not_have(
    client: httpx.Client, double: Double, name: str, route: str
) -> None:
    members, closed = GROUPS[name]
    user = user_in(client, double, members)
    for number, body in enumerate(BODIES):
        before = len(double.calls())
        streamed = body[:-1] + b',"stream":true}' if number % 2 else body
        reply = post(user, route, streamed)
        assert reply.status_code in (200, 400, 403, 404), (body, reply.text)
        for call in double.calls()[before:]:
            assert not marks(call, closed), (body, call)
            if MUCH in closed:
                limits = [call.body[one] for one in _LIMITS if one in call.body]
                assert len(limits) == 1, call
                assert limits[0] * call.body.get("n", 1) <= 20, call
    assert bool(double.calls()) == ("" not in closed)


@pytest.mark.parametrize("route", ROUTES)
def test_all_of_it_passes_where_nothing_is_closed(
    client: httpx.Client, double: Double, route: str
) -> None:
    """So that each mark is known when it is seen."""
    user = user_in(client, double, {})
    for body in BODIES:
        post(user, route, body)
    for mark in (DEAR, MUCH, LONG):
        assert len([call for call in double.calls() if marks(call, [mark])]) > 5


@pytest.mark.parametrize("streamed", [b"false", b"true"])
def test_no_route_has_another_call_at_the_same_time(
    client: httpx.Client, double: Double, streamed: bytes
) -> None:
    user = user_in(client, double, {"concurrent": 1})
    slow = double.script("slow", Answer(stop_at=0))
    body = b'{"max_tokens":10,"messages":%s,"stream":%s}'
    first = threading.Thread(
        target=post, args=(user, ROUTES[0], body % (json.dumps(turns(slow)).encode(), streamed))
    )
    first.start()
    eventually(lambda: len(double.calls("slow")) == 1)
    for route in ROUTES:
        for model in (b"cheap", b"claude", b"open/any"):
            said = b'{"model":"%s",' % model + body[1:]
            reply = post(user, route, said % (json.dumps(turns("Hi")).encode(), streamed))
            assert reply.status_code == 429, (route, model, reply.text)
    double.release("slow")
    first.join(20)
    assert len(double.calls()) == 1
