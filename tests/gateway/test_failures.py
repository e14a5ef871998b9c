"""Failures in whatever shape: no answer, nothing charged before one, and said without secrets."""

import json
from typing import Any

import httpx
import pytest

from server.providers.refusals import of_failure
from server.providers.words import words_of
from tests.doubles import Double
from tests.endpoints import PROVIDER_KEY, endpoint
from tests.gateway.asking import (
    LAST,
    PROTOCOLS,
    ask,
    stream,
    streaming,
    used,
    user_at,
    user_of,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.processes import Server

SAID = "engine died"
SECRETS = f"key {PROVIDER_KEY} of org-AbCdEfGh12345678"
# With X for what is said. `type` and the like are as some servers have them.
SHAPES: dict[str, Any] = {
    "OpenAI": {"error": {"message": "X", "type": "server_error", "code": "5"}},
    "Anthropic": {"type": "error", "error": {"type": "api_error", "message": "X"}},
    "a text": {"error": "X"},
    "vLLM": {"object": "error", "message": "X", "type": "InternalServerError", "code": 500},
    "FastAPI": {"detail": "X"},
    "FastAPI's list": {"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "X"}]},
    "an object of details": {"detail": {"error": {"message": "X"}}},
    "a message": {"message": "X"},
    "a message and a code": {"code": 1234, "message": "X"},
    "Mistral": {"object": "error", "message": {"detail": [{"msg": "X"}]}, "type": "bad"},
    "a list": {"errors": [{"message": "X"}]},
    "a list of texts": {"errors": ["X"]},
    "TGI": {"error": "X", "error_type": "generation"},
    "Nest": {"statusCode": 500, "message": "X", "error": "Internal Server Error"},
    "OAuth": {"error": "server_error", "error_description": "X"},
    "MiniMax": {"choices": None, "base_resp": {"status_code": 1000, "status_msg": "X"}},
    "problem details": {"type": "about:blank", "title": "Bad", "status": 500, "detail": "X"},
    "AWS": {"__type": "ModelErrorException", "Message": "X"},
    "no choices": {"choices": [], "message": "X"},
    "Apigee": {"fault": {"faultstring": "X", "detail": {"errorcode": "policies.x"}}},
    "Azure's inner one": {"error": {"code": "bad", "innererror": {"message": "X"}}},
    "capitals": {"Error": {"Code": "V", "Message": "X"}},
    "fields": {"errors": {"prompt": ["X"]}},
    "a list of errors": [{"error": {"message": "X"}}],
    "a text alone": "X",
    "no success": {"success": False, "note": "X"},
    "a state": {"id": "a", "status": "failed", "note": "X"},
    "a status": {"id": "a", "status_code": 503, "note": "X"},
    "an exception": {"type": "internalServerException", "note": "X"},
    "an object of its own": {"object": "chat.completion.error", "note": "X"},
    "a response": {"type": "response.failed", "response": {"error": {"message": "X"}}},
    "a name of its own": {"model": "m", "upstreamError": "X"},
    "a choice": {"choices": [{"index": 0, "finish_reason": "error", "error": {"message": "X"}}]},
}


def shaped(name: str, text: str) -> bytes:
    return json.dumps(SHAPES[name]).replace('"X"', json.dumps(text)).encode()


def chunk(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
FRAMES = {
    **{name: b"data: %b\n\n" % shaped(name, "X") for name in SHAPES},
    "a named event": b'event: error\ndata: {"info": 1, "message": "X", "code": "server_error"}\n\n',
    "named after its data": b'data: {"message": "X"}\nevent: error\n\n',
    "a named text": b"event: error\ndata: X\n\n",
    "another name": b'event: Exception\ndata: {"message": "X"}\n\n',
    "a name with more": b'event: internalServerException\ndata: {"note": "X"}\n\n',
    "a name in parts": b"event: response.failed\ndata: X\n\n",
    "a plain text": b"data: X\n\n",
    "a field of its own": b'error: {"message": "X"}\n\n',
    "a line of JSON": b'{"error": {"message": "X"}}\n\n',
}


def said_in(reply: httpx.Response) -> str:
    return str(json.loads(reply.read())["error"]["message"])


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("name", FRAMES)
def test_a_failure_in_a_stream(
    client: httpx.Client, gateway: Server, double: Double, name: str, asked: str
) -> None:
    frame = FRAMES[name].replace(b"X", f"{SAID}: {SECRETS}".encode())
    with RawProvider(sending(HEAD + chunk("half an "), frame + DONE)) as provider:
        user = user_at(client, provider.url)
        *_, last = stream(user, "Hi", asked)
    assert last != LAST[asked]
    assert json.loads(last)["error"]["message"] == f"{SAID}: key *** of ***"
    assert PROVIDER_KEY not in gateway.text()
    with RawProvider(sending(HEAD + frame + DONE)) as provider:
        endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        assert stream(user, "Hi", asked)[-1] == LAST[asked]
        alone = user_at(client, provider.url)
        with streaming(alone, "Hi", asked) as reply:
            assert reply.status_code == 502
            assert said_in(reply) == f"{SAID}: key *** of ***"
    assert (used(alone), used(user)) == (0, double.calls()[0].used)


NO_ANSWERS = {
    **{name: shaped(name, SECRETS) for name in SHAPES},
    "something else": json.dumps({"status": "failed", "info": SECRETS}).encode(),
    "no answer but an id": json.dumps({"id": "a", "info": SECRETS}).encode(),
    "no choices": json.dumps({"id": "a", "choices": [], "info": SECRETS}).encode(),
    "choices of nothing": json.dumps({"id": "a", "choices": None, "info": SECRETS}).encode(),
    "no content": json.dumps({"type": "message", "content": [], "info": SECRETS}).encode(),
    "a plain text": SECRETS.encode(),
}


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("name", NO_ANSWERS)
def test_a_failure_with_status_200(
    client: httpx.Client, double: Double, name: str, spoken: str
) -> None:
    with RawProvider(whole(NO_ANSWERS[name])) as provider:
        for asked in PROTOCOLS:
            user = user_at(client, provider.url, spoken)
            reply = ask(user, "Hi", asked)
            assert (reply.status_code, used(user)) == (502, 0)
            assert said_in(reply) == "key *** of ***"
            assert PROVIDER_KEY not in reply.text
            assert "org-AbCdEfGh" not in reply.text
        endpoints = {"first": endpoint(provider.url, spoken), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        assert ask(user, "Hi").status_code == 200


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "a choice"])
def test_a_refusals_words_reach_the_client(client: httpx.Client, name: str) -> None:
    with RawProvider(whole(shaped(name, f"{SAID}: {SECRETS}"), "400 Bad Request")) as provider:
        for asked in PROTOCOLS:
            reply = ask(user_at(client, provider.url), "Hi", asked)
            assert reply.status_code == 400
            assert reply.json()["error"]["message"] == f"{SAID}: key *** of ***"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no such model", "no such model"),
        (b"<html><p>Bad Request</p></html>", "The provider refused the request"),
        (b'[{"error":{"message":"Gemini says no","status":"INVALID"}}]', "Gemini says no"),
        (b'{"detail":{"x":1}}', "The provider refused the request"),
        (b'{"message":"' + b"x" * 5_000 + b'"}', "x" * 2_000),
    ],
)
def test_other_words(client: httpx.Client, body: bytes, message: str) -> None:
    with RawProvider(whole(body, "400 Bad Request")) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, message)


SPENT: list[tuple[str, dict[str, Any]]] = [
    ("400 Bad Request", {"message": "no", "code": "insufficient_quota"}),
    ("400 Bad Request", {"object": "error", "message": "no", "type": "insufficient_quota"}),
    ("429 Too Many Requests", {"detail": {"code": "insufficient_quota", "message": "no"}}),
    ("403 Forbidden", {"error": {"code": "insufficient_user_quota", "message": "no"}}),
    ("429 Too Many Requests", {"error": {"type": "exceeded_current_quota_error"}}),
    ("400 Bad Request", {"errors": [{"code": "credit_balance_exhausted", "message": "no"}]}),
    ("400 Bad Request", {"code": "Arrearage", "message": "overdue"}),
    ("400 Bad Request", {"error": {"details": {"error_code": "insufficient_quota"}}}),
    ("402 Payment Required", {"detail": "no"}),
]


@pytest.mark.parametrize(("status", "body"), SPENT)
def test_spent_credit_in_any_shape(client: httpx.Client, status: str, body: dict[str, Any]) -> None:
    with RawProvider(whole(json.dumps(body).encode(), status)) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "provider_quota")


@pytest.mark.parametrize(
    ("failure", "label"),
    [
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "provider_quota"),
        ({"code": "429", "message": "slow down"}, "provider_busy"),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "code": 429}}, "provider_busy"),
        ({"error": {"type": "authentication_error"}}, "provider_auth_error"),
        ({"code": 401, "message": "who?"}, "provider_auth_error"),
        ({"object": "error", "code": 400, "message": "bad"}, "provider_refused"),
        ({"message": "engine died"}, "provider_error"),
        ("engine died", "provider_error"),
        (None, "provider_error"),
        ([[[[[[[[{"message": "deep"}]]]]]]]], "provider_error"),
    ],
)
def test_what_a_failure_means(failure: Any, label: str) -> None:
    assert of_failure(failure, "").label == label


@pytest.mark.parametrize(
    ("failure", "param"),
    [
        ({"detail": [{"type": "extra", "loc": ["body", "a", 0, "b"]}]}, "a.0.b"),
        ({"detail": [{"loc": "stream_options"}]}, "stream_options"),
        ({"error": {"param": "stream_options"}}, "stream_options"),
        ({"error": {"param": ["stream_options"]}}, ""),
        ({"errors": [{"field": "stream_options"}]}, "stream_options"),
        ({"errors": [{"instancePath": "/stream_options"}]}, "/stream_options"),
        ({"error": {"param": None}}, ""),
        ({"error": {"param": 5, "loc": []}}, ""),
    ],
)
def test_the_member_that_is_refused_is_named(failure: Any, param: str) -> None:
    assert words_of(failure, "")[1:4] == ("", "", param)


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_answer_may_have_another_status(client: httpx.Client, status: str, asked: str) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    message = {"role": "assistant", "content": "Hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"choices": choices, "usage": usage}).encode()
    with RawProvider(whole(body, status)) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi", asked).status_code == 200
    head = HEAD.replace(b"200 OK", status.encode())
    end = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n" + DONE
    with RawProvider(sending(head + chunk("Hi", "stop") + end)) as provider:
        streamed = user_at(client, provider.url)
        assert stream(streamed, "Hi", asked)[-1] == LAST[asked]
    assert (used(user), used(streamed)) == (25, 25)
