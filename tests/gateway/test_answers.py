"""Refusals that a client can act on: what is needed, when to come back, which route is served."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.api import Api, User, config
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PATHS, PROTOCOLS, ask, user_at
from tests.openapi import document
from tests.processes import Server

CHAT, MESSAGES, MODELS = "POST /v1/chat/completions", "POST /v1/messages", "GET /v1/models"
RESPONSES = "POST /v1/responses"
ALL = f"{CHAT}, {RESPONSES}, {MESSAGES}, POST /v1/embeddings or {MODELS}"
VOICE = "GET /v1/realtime, a WebSocket, and POST /v1/realtime/client_secrets"
# Method and path under a tenant, the shape of the answer, what it says to use instead.
UNSERVED = [
    ("GET", "/v1/responses", "openai", RESPONSES),
    ("POST", "/v1/responses/resp_1/cancel", "openai", RESPONSES),
    ("GET", "/v1/v1/responses", "openai", RESPONSES),
    ("POST", "/v1/completions", "openai", CHAT),
    ("GET", "/v1/chat/completions", "openai", CHAT),
    ("POST", "/v1/chat/completions/chat/completions", "openai", CHAT),
    ("DELETE", "/v1/chat/completions/chatcmpl-1", "openai", CHAT),
    ("DELETE", "/v1/models/gpt-4o", "openai", MODELS),
    ("POST", "/v1/models", "openai", MODELS),
    ("GET", "/v1/embeddings", "openai", "POST /v1/embeddings"),
    ("POST", "/v1/audio/speech", "openai", ALL),
    ("POST", "/v1/images/generations", "openai", ALL),
    ("POST", "/v1/realtime/sessions", "openai", VOICE),
    ("POST", "/v1/realtime/transcription_sessions", "openai", VOICE),
    ("POST", "/v1/files", "openai", ALL),
    ("GET", "/v1/moderations", "openai", "POST /v1/moderations"),
    ("GET", "/v1", "openai", ALL),
    ("GET", "/v1/messages/count_tokens", "anthropic", MESSAGES),
    ("POST", "/v1/messages/batches", "anthropic", MESSAGES),
    ("GET", "/v1/messages", "anthropic", MESSAGES),
    ("POST", "/v1/complete", "anthropic", MESSAGES),
]
# The header says whose SDK asks where the path does not.
OF_ANTHROPIC = {"anthropic-version": "2023-06-01"}
BY_HEADER = [("POST", "/v1/models/claude", MODELS), ("POST", "/v1/files", ALL)]
# The base URL lacks its /v1.
WITHOUT_VERSION = [
    ("/chat/completions", {}, "openai", "POST /<tenantId>/v1/chat/completions"),
    ("/responses", {}, "openai", "POST /<tenantId>/v1/responses"),
    ("/messages", {}, "anthropic", "POST /<tenantId>/v1/messages"),
    ("/embeddings", {}, "openai", "POST /<tenantId>/v1/embeddings"),
    ("/files", {"x-stainless-lang": "js"}, "openai", "POST /<tenantId>/v1/chat/completions, "),
    ("/beta/x", OF_ANTHROPIC, "anthropic", "POST /<tenantId>/v1/chat/completions, "),
]


def assert_unserved(reply: httpx.Response, shape: str, method: str, path: str, use: str) -> None:
    assert reply.status_code in (404, 405)
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["request-id"] == reply.headers["x-request-id"]
    error = reply.json()["error"]
    assert error["message"].startswith(f"{method} {path} is not served here; use {use}")
    assert error["code"] == "unknown_url"
    if shape == "openai":
        assert error["type"] == "invalid_request_error"
    else:
        assert reply.json()["type"] == "error"
        assert error["type"] == (
            "not_found_error" if reply.status_code == 404 else "invalid_request_error"
        )


@pytest.mark.parametrize(("method", "path", "shape", "use"), UNSERVED)
def test_what_is_not_served_says_what_is(
    client: httpx.Client, method: str, path: str, shape: str, use: str
) -> None:
    reply = client.request(method, f"/abc{path}")
    assert_unserved(reply, shape, method, path, use)


def test_webrtc_is_not_served(client: httpx.Client) -> None:
    reply = client.post("/abc/v1/realtime/calls", content=b"v=0")
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert error["code"] == "webrtc_unsupported"
    assert error["message"].endswith(f"is not served here; use {VOICE}")


@pytest.mark.parametrize(("method", "path", "use"), BY_HEADER)
def test_the_version_header_tells_whose_shape(
    client: httpx.Client, method: str, path: str, use: str
) -> None:
    reply = client.request(method, f"/abc{path}", headers=OF_ANTHROPIC)
    assert_unserved(reply, "anthropic", method, path, use)


@pytest.mark.parametrize(("path", "headers", "shape", "use"), WITHOUT_VERSION)
def test_a_base_url_without_its_version(
    client: httpx.Client, path: str, headers: dict[str, str], shape: str, use: str
) -> None:
    reply = client.post(f"/abc{path}", headers=headers)
    assert_unserved(reply, shape, "POST", f"/abc{path}", use)


@pytest.mark.parametrize("path", ["/abc/v1x", "/abc/v10/models", "/abc/charge", "/v1", "/v1/x"])
def test_what_no_sdk_asks_for_is_refused_as_ever(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()) == (404, {"error": "Not Found"})
    assert reply.headers["x-should-retry"] == "false"


def test_a_base_url_without_its_tenant(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions")
    use = "POST /<tenantId>/v1/chat/completions"
    assert_unserved(reply, "openai", "POST", "/v1/chat/completions", use)


def test_a_long_path_makes_no_long_message(client: httpx.Client) -> None:
    reply = client.get(f"/abc/v1/{'x' * 5_000}")
    assert len(reply.json()["error"]["message"]) < 400


def said(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["message"])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("tokens", "left"), [(2_000, "2,000 are"), (1, "1 is"), (0, "0 are")])
def test_402_says_what_is_needed_and_left(
    client: httpx.Client, double: Double, protocol: str, streamed: bool, tokens: int, left: str
) -> None:
    user = user_at(client, double.url, tokens=tokens)
    reply = ask(user, "x" * 12_000, protocol, stream=streamed)
    assert (reply.status_code, reply.headers["x-should-retry"]) == (402, "false")
    words = said(reply).split(" ")
    needed = int(words[5].replace(",", ""))
    assert said(reply) == f"This call needs at least {needed:,} tokens; {left} left"
    assert needed > 4_000
    assert reply.json()["tokensLeft"] == reply.json()["error"]["tokensLeft"] == tokens
    assert reply.headers["x-tokens-left"] == str(tokens)
    user.grant({"tokens": needed - tokens - 1})
    assert ask(user, "x" * 12_000, protocol).status_code == 402
    user.grant({"tokens": 1})
    assert ask(user, "x" * 12_000, protocol).status_code == 200


def limited(client: httpx.Client, double: Double, window: int, **limits: Any) -> User:
    group = {"tokens": 10_000, "rate_limit": 1, "rate_limit_window": window}
    found = text_config({"main": endpoint(double.url)}, anonymous=group)
    return Api.new_tenant(client, {**found, "limits": limits}).login()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("window", "is_final"), [(2, False), (60, False), (61, True), (3_600, True), (86_400, True)]
)
def test_429_says_when_and_that_it_is_final_where_that_is_long(
    client: httpx.Client, double: Double, window: int, is_final: bool, protocol: str
) -> None:
    user = limited(client, double, window)
    assert ask(user, "Hi", protocol, max_tokens=10).status_code == 200
    left = user.balance()["tokensLeft"]
    for path in ("", "/charges"):
        if path:
            reply = user.charge(1)
            assert reply.json() == {"error": "Too Many Requests"}
        else:
            reply = ask(user, "Hi", protocol)
            seconds = int(reply.headers["retry-after"])
            assert said(reply) == f"Too Many Requests; try again in {seconds:,} s"
        assert reply.status_code == 429
        # What has passed since may have made it 60.
        if is_final is (int(reply.headers["retry-after"]) > 60):
            assert reply.headers.get("x-should-retry") == ("false" if is_final else None)
        assert reply.headers["x-tokens-left"] == str(left)


def test_a_tenants_429_says_when_and_what_is_left(client: httpx.Client, double: Double) -> None:
    user = limited(client, double, 2, tokens_per_day=1)
    reply = ask(user, "Hi")
    seconds = int(reply.headers["retry-after"])
    assert (reply.status_code, said(reply)) == (
        429,
        f"Tenant limit reached; try again in {seconds:,} s",
    )
    assert reply.headers["x-tokens-left"] == "10000"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_providers_429_says_when(client: httpx.Client, double: Double, protocol: str) -> None:
    user = user_at(client, double.url)
    busy = Answer(status=429, headers={"Retry-After": "7"})
    reply = ask(user, double.script("busy", busy), protocol)
    assert said(reply) == "The provider's rate limit is reached; try again in 7 s"
    assert "x-should-retry" not in reply.headers


def refusals(client: httpx.Client, double: Double) -> Iterator[tuple[int, httpx.Response]]:
    user = user_at(client, double.url, tokens=3)
    api, nobody = user.api, {"Authorization": "Bearer nobody"}
    for protocol in PROTOCOLS:
        path = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[protocol]
        yield 401, api.post(path, {}, nobody)
        yield 402, ask(user, "Hi", protocol)
        rich = user_at(client, double.url)
        for status in (404, 405):
            missing = double.script(f"{protocol}-{status}", Answer(status=status))
            yield status, ask(rich, missing, protocol)
    yield 401, api.get("/v1/models", nobody)
    yield 401, api.get("/balance", nobody)
    yield 401, api.get("/admin/config", nobody)
    yield 402, user.charge(4)
    yield 402, user.hold({"tokens": 4})
    yield 404, api.post(f"/holds/{'0' * 32}/settle", {"tokens": 1}, user.headers)
    yield 404, api.get("/nothing")
    closed = Api.new_tenant(client, {**config(), "allowed_origins": []})
    yield 403, closed.post("/auth/anonymous", None, {"Origin": "https://a.example"})
    yield 404, ask(closed.login(), "Hi")


def test_what_cannot_succeed_is_not_to_be_repeated(client: httpx.Client, double: Double) -> None:
    for status, reply in refusals(client, double):
        assert reply.status_code == status, reply.text
        assert reply.headers["x-should-retry"] == "false", reply.url


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [400, 404, 405, 409, 422, 429, 500, 503])
def test_headers_of_what_a_provider_refuses_are_documented(
    client: httpx.Client, double: Double, status: int, protocol: str
) -> None:
    refused = Answer(status=status, headers={"Retry-After": "7"})
    reply = ask(user_at(client, double.url), double.script("refused", refused), protocol)
    assert reply.headers["retry-after"] == "7"
    replies = document()["paths"]["/{tenantId}" + PATHS[protocol]]["post"]["responses"]
    documented = replies.get(str(reply.status_code), replies["4XX"])["headers"]
    of_any = {"connection", "content-length", "content-type", "request-id"}
    assert set(reply.headers) - of_any <= {name.lower() for name in documented}


def test_the_sdks_give_an_app_all_of_it(gateway: Server, client: httpx.Client) -> None:
    with Double() as double:
        user = user_at(client, double.url, tokens=3)
        base = f"{gateway.url}/{user.api.tenant_id}"
        of_openai = openai.OpenAI(base_url=f"{base}/v1", api_key=user.api_key)
        of_anthropic = anthropic.Anthropic(base_url=base, api_key=user.api_key)
        with pytest.raises(openai.APIStatusError) as payment:
            of_openai.chat.completions.create(
                model="openai-model", messages=[{"role": "user", "content": "Hi"}]
            )
        assert "; 3 are left" in payment.value.message
        assert payment.value.body["tokensLeft"] == 3  # type: ignore[index]
        with pytest.raises(openai.NotFoundError) as missing:
            of_openai.responses.input_items.list("resp_1")
        assert f"use {RESPONSES}" in missing.value.message
        with pytest.raises(anthropic.APIStatusError) as due:
            of_anthropic.messages.create(
                model="openai-model", max_tokens=5, messages=[{"role": "user", "content": "Hi"}]
            )
        assert "; 3 are left" in due.value.message
        with pytest.raises(anthropic.NotFoundError) as unlisted:
            of_anthropic.messages.batches.list()
        assert f"use {MESSAGES}" in unlisted.value.message
