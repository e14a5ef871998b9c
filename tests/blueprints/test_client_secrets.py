"""Client secrets over HTTP: who gets one, for how long, and that it opens no other route."""

import json
import re
from typing import Any

import httpx
import openai
import pytest

from tests.api import GROUPS, Api, User, config
from tests.processes import Valkey
from tests.stored import keys_key, now_ms

PATH = "/v1/realtime/client_secrets"
MODEL = "gpt-realtime-2.1"
REALTIME = {
    "default": "voice",
    "endpoints": {"voice": {"model": MODEL, "api_key": "sk-1"}, "ultravox": {"api_key": "u-1"}},
}
SECRET = re.compile(r"ek_[A-Za-z0-9_-]{43}")


def with_voice(**groups: dict[str, Any]) -> dict[str, Any]:
    return config(**groups) | {"providers": {"realtime": REALTIME}}


@pytest.fixture
def voice(client: httpx.Client) -> Api:
    return Api.new_tenant(client, with_voice())


def ask(user: User, body: object = None, **headers: str) -> httpx.Response:
    return user.api.post(PATH, body, {**user.headers, **headers})


def secret_of(user: User, **body: object) -> str:
    reply = ask(user, body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["value"])


def assert_refused(reply: httpx.Response, status: int, code: str | None, param: str | None) -> None:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param)


def test_a_secret_in_openais_shape(voice: Api, valkey: Valkey) -> None:
    user = voice.login()
    session = {"type": "realtime", "model": MODEL, "instructions": "Speak slowly."}
    reply = ask(user, {"expires_after": {"anchor": "created_at"}, "session": session})
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    made = reply.json()
    assert made.keys() == {"value", "expires_at", "session"}
    assert SECRET.fullmatch(made["value"])
    assert 590 <= made["expires_at"] - now_ms(valkey) // 1000 <= 600
    assert made["session"].pop("id").startswith("sess_")
    assert made["session"] == {**session, "object": "realtime.session"}
    assert user.balance()["tokensLeft"] == 100
    assert len(user.ledger()) == 1, "it costs nothing"


def test_openais_client_gets_one(client: httpx.Client, voice: Api) -> None:
    user = voice.login()
    sdk = openai.OpenAI(
        base_url=f"{str(client.base_url).rstrip('/')}/{voice.tenant_id}/v1",
        api_key=user.api_key,
        max_retries=0,
    )
    made = sdk.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 7200},
        session={"type": "realtime", "model": MODEL},
    )
    assert SECRET.fullmatch(made.value)
    assert made.session.type == "realtime"
    assert made.session.model == MODEL
    with pytest.raises(openai.NotFoundError) as refused:
        sdk.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-4o"})
    assert refused.value.code == "model_not_found"


def test_it_is_one_request_of_the_rate_limit(client: httpx.Client) -> None:
    limited = GROUPS["anonymous"] | {"rate_limit": 2}
    user = Api.new_tenant(client, with_voice(anonymous=limited)).login()
    remaining = [ask(user).headers["ratelimit"].split(";")[1] for _ in range(2)]
    assert remaining == ["r=1", "r=0"]
    refused = ask(user)
    assert_refused(refused, 429, "rate_limit_exceeded", None)
    assert int(refused.headers["retry-after"]) <= 60
    assert user.charge(1).status_code == 429


def test_nothing_left_is_402(voice: Api) -> None:
    user = voice.login()
    assert user.charge(100).status_code == 200
    refused = ask(user)
    assert_refused(refused, 402, "insufficient_quota", None)
    assert refused.headers["x-should-retry"] == "false"


def test_a_restricted_key_gets_one_while_it_has_tokens(voice: Api, valkey: Valkey) -> None:
    user = voice.login()
    key = user.restricted(tokens=10)
    assert SECRET.fullmatch(secret_of(key))
    (key_id,) = (one["keyId"] for one in user.restricted_keys())
    valkey.client.hset(keys_key(user), f"{key_id}:spent", "10")
    assert_refused(ask(key), 402, "insufficient_quota", None)
    assert ask(user).status_code == 200


@pytest.mark.parametrize(
    ("group", "code"),
    [
        ({"prompts_only": True}, "prompts_only"),
        ({"endpoints": ["text"]}, "endpoint_not_allowed"),
    ],
)
def test_groups_that_may_not_speak(client: httpx.Client, group: dict[str, Any], code: str) -> None:
    user = Api.new_tenant(client, with_voice(anonymous=GROUPS["anonymous"] | group)).login()
    assert_refused(ask(user), 403, code, None)


def test_a_group_that_is_gone(voice: Api) -> None:
    user = voice.login().become_permanent()
    value = with_voice()
    del value["user_groups"]["paid"]
    assert voice.put_config(value).status_code == 200
    assert_refused(ask(user), 403, "group_not_allowed", None)


WRONG: list[tuple[object, str]] = [
    ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
    ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
    ({"expires_after": {"seconds": 60.0}}, "expires_after.seconds"),
    ({"expires_after": {"seconds": True}}, "expires_after.seconds"),
    ({"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
    ({"expires_after": 60}, "expires_after"),
    ({"expires_after": {"minutes": 5}}, "expires_after.minutes"),
    ({"expires_after": None}, "expires_after"),
    ({"session": None}, "session"),
    ({"session": [1]}, "session"),
    ({"session": {"type": "transcription"}}, "session.type"),
    ({"session": {"model": 1}}, "session.model"),
    ({"session": {"instructions": "x" * 16_000}}, "session"),
    ({"session": {"tools": [{"type": "mcp"}]}}, "session.tools.0"),
    ({"session": {"voice": "alloy"}}, "session.voice"),
    ({"session": {"tools": json.loads("[" * 300 + "]" * 300)}}, "session"),
    ({"seconds": 60}, "seconds"),
    ({"session": {"tool_choice": json.loads("[" * 252 + "]" * 252)}}, "session"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=[str(body)[:40] for body, _ in WRONG])
def test_a_wrong_body_is_refused_by_its_member(voice: Api, body: object, param: str) -> None:
    user = voice.login()
    before = user.balance()["rateRemaining"]
    assert_refused(ask(user, body), 400, None, param)
    assert user.balance()["rateRemaining"] == before, "and counts for nothing"


@pytest.mark.parametrize("model", ["gpt-4o", "ultravox/ultravox-v0.7", "voice/other"])
def test_a_model_that_is_not_for_websockets(voice: Api, model: str) -> None:
    refused = ask(voice.login(), {"session": {"model": model}})
    assert_refused(refused, 404, "model_not_found", None)


def test_a_tenant_without_voice(api: Api) -> None:
    assert_refused(ask(api.login()), 404, "model_not_found", None)


def test_who_has_no_key(voice: Api) -> None:
    other = Api.new_tenant(voice.client, with_voice()).login()
    for headers in ({}, {"Authorization": "Bearer temp_1"}, other.headers):
        assert_refused(voice.post(PATH, {}, headers), 401, "invalid_api_key", None)
    in_the_query = voice.post(f"{PATH}?api_key={voice.login().api_key}")
    assert in_the_query.status_code == 401


def test_a_page_may_ask(client: httpx.Client) -> None:
    origin = "https://app.example"
    value = with_voice() | {"allowed_origins": [origin]}
    user = Api.new_tenant(client, value).login()
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = client.request("OPTIONS", f"/{user.api.tenant_id}{PATH}", headers=asked)
    assert (preflight.status_code, preflight.headers["allow"]) == (204, "OPTIONS, POST")
    reply = ask(user, {}, Origin=origin)
    assert reply.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in ask(user, {}, Origin="https://b.example").headers


def test_a_key_for_other_models(voice: Api) -> None:
    key = voice.login().restricted(tokens=10, models=["gpt-4o"])
    assert_refused(ask(key, {"session": {"model": MODEL}}), 403, "model_not_allowed", "model")
    assert ask(key).status_code == 200, "its sessions are refused when they say which"
    able = voice.login().restricted(tokens=10, models=[MODEL])
    assert ask(able, {"session": {"model": f"voice/{MODEL}"}}).status_code == 200


def test_a_group_for_other_models(client: httpx.Client) -> None:
    group = GROUPS["anonymous"] | {"models": ["gpt-4o"]}
    user = Api.new_tenant(client, with_voice(anonymous=group)).login()
    assert_refused(ask(user, {"session": {"model": MODEL}}), 403, "model_not_allowed", "model")


def test_a_key_for_other_pages(voice: Api) -> None:
    key = voice.login().restricted(tokens=10, origins=["https://app.example"])
    assert ask(key, {}, Origin="https://app.example").status_code == 200
    assert ask(key, {}, Origin="https://b.example").status_code == 403
    assert ask(key).status_code == 403


OTHER_ROUTES = [
    ("POST", "/charges"),
    ("GET", "/balance"),
    ("GET", "/ledger"),
    ("GET", "/auth/me"),
    ("POST", "/keys"),
    ("POST", PATH),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
]


@pytest.mark.parametrize(("method", "path"), OTHER_ROUTES)
def test_a_secret_opens_no_other_route(voice: Api, method: str, path: str) -> None:
    secret = secret_of(voice.login())
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
        reply = voice.client.request(method, f"/{voice.tenant_id}{path}", headers=headers)
        assert reply.status_code == 401, reply.text
