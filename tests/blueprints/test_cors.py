"""CORS: which pages may call and what they may read, of errors as of successes."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api import ADMIN, Api, User, config

PAGE = "https://app.example"
OTHER = "https://other.example"
EXPOSED = {
    *("allow", "etag", "idempotent-replayed", "ratelimit", "ratelimit-policy", "retry-after"),
    *("www-authenticate", "x-request-id", "x-should-retry", "x-tokens-charged", "x-tokens-left"),
    *("request-id", "retry-after-ms", "openai-organization", "openai-processing-ms"),
    *("openai-model", "openai-version", "anthropic-organization-id", "*"),
}
"""Ours, those that the SDKs read, and with `*` all others."""


def cors_of(reply: httpx.Response) -> dict[str, str]:
    """The reply's CORS headers and its Vary."""
    return {
        name: value
        for name, value in reply.headers.items()
        if name.startswith("access-control-") or name == "vary"
    }


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


@pytest.fixture
def closed(client: httpx.Client) -> Api:
    """A tenant for the pages of PAGE alone."""
    group = {"tokens": 0, "rate_limit": 3, "rate_limit_window": 60}
    return Api.new_tenant(client, config(anonymous=group) | {"allowed_origins": [PAGE]})


@pytest.fixture
def open_to_all(client: httpx.Client) -> Api:
    group = {"tokens": 0, "rate_limit": 3, "rate_limit_window": 60}
    return Api.new_tenant(client, config(anonymous=group))


def replies(
    api: Api, user: User, login_status: int = 200, **headers: str
) -> Iterator[tuple[int, httpx.Response]]:
    """One reply of each of these statuses, to requests with these headers."""
    of_user, of_admin = {**user.headers, **headers}, {**ADMIN, **headers}
    path = f"/{api.tenant_id}/charges"
    two_keys = [*of_user.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    yield login_status, api.post("/auth/anonymous", None, headers)
    yield 200, api.get("/balance", of_user)
    yield 200, api.get("/admin/config", of_admin)
    yield 400, api.client.post(path, content=b"{", headers=of_user)
    yield 400, api.client.post(path, headers=two_keys)
    yield 401, api.get("/balance", headers)
    yield 401, api.get("/admin/config", headers)
    yield 402, api.post("/charges", {}, of_user)
    yield 404, api.get("/admin/users/x", of_admin)
    put = api.client.put
    config_path = f"/{api.tenant_id}/admin/config"
    yield 412, put(config_path, json={"config": config()}, headers={**of_admin, "If-Match": '"x"'})
    yield 413, api.client.post(path, content=b" " * (1024 * 1024 + 1), headers=of_user)
    yield 422, api.post("/charges", {"tokens": 0}, of_user)


def test_any_page_may_call_by_default(open_to_all: Api) -> None:
    for origin in (PAGE, OTHER, "null", "http://localhost:8080"):
        user = open_to_all.login()
        for status, reply in replies(open_to_all, user, Origin=origin):
            assert reply.status_code == status, reply.text
            found = cors_of(reply)
            assert found.pop("access-control-allow-origin") == "*"
            assert words(found.pop("access-control-expose-headers")) == EXPOSED
            assert not found


def test_without_an_origin_there_is_no_header_of_cors(open_to_all: Api, closed: Api) -> None:
    for api in (open_to_all, closed):
        for status, reply in replies(api, api.login()):
            assert (reply.status_code, cors_of(reply)) == (status, {})
        reply = api.client.options(
            f"/{api.tenant_id}/charges",
            headers={
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert (reply.status_code, cors_of(reply)) == (204, {})


def test_only_the_tenants_origins_may_call(closed: Api) -> None:
    for status, reply in replies(closed, closed.login(), Origin=PAGE):
        assert reply.status_code == status, reply.text
        found = cors_of(reply)
        assert found.pop("access-control-allow-origin") == PAGE
        assert words(found.pop("access-control-expose-headers")) == EXPOSED
        assert found == {"vary": "Origin"}


@pytest.mark.parametrize(
    "origin",
    [
        *(OTHER, "null", "", "*", PAGE + ".evil.example", PAGE + "/", PAGE.upper(), "app.example"),
        *("http://app.example", PAGE + ":8443", f"{PAGE},{OTHER}", f"{PAGE} {OTHER}"),
    ],
)
def test_no_other_origin_is_told_that_it_may(closed: Api, origin: str) -> None:
    for status, reply in replies(closed, closed.login(), 403, Origin=origin):
        assert reply.status_code == status, reply.text
        assert cors_of(reply) == {"vary": "Origin"}


def test_a_tenant_may_list_no_origin_at_all(client: httpx.Client) -> None:
    api = Api.new_tenant(client, config() | {"allowed_origins": []})
    reply = api.post("/auth/anonymous", None, {"Origin": PAGE})
    assert (reply.status_code, cors_of(reply)) == (403, {"vary": "Origin"})


def test_a_change_of_the_origins_is_in_force_for_the_next_request(closed: Api) -> None:
    closed.put_config(config() | {"allowed_origins": [OTHER, PAGE]})
    for origin in (OTHER, PAGE):
        reply = closed.post("/auth/anonymous", None, {"Origin": origin})
        assert reply.headers["access-control-allow-origin"] == origin
    closed.put_config(config())
    reply = closed.post("/auth/anonymous", None, {"Origin": "https://third.example"})
    assert reply.headers["access-control-allow-origin"] == "*"


def test_429_carries_them_too(open_to_all: Api, closed: Api) -> None:
    for api, allowed in ((open_to_all, "*"), (closed, PAGE)):
        user = api.login()
        # Refusals use no rate, and a balance of 0 is refused, so there must be one.
        user.grant({"tokens": 10})
        found = [user.charge(1, Origin=PAGE) for _ in range(4)]
        assert [reply.status_code for reply in found] == [200, 200, 200, 429]
        assert {reply.headers["access-control-allow-origin"] for reply in found} == {allowed}
        assert {"ratelimit", "retry-after"} <= words(
            found[-1].headers["access-control-expose-headers"]
        )


def test_without_a_tenant_any_page_may_read_the_reply(client: httpx.Client) -> None:
    for status, method, path in (
        (200, "GET", "/livez"),
        (404, "GET", "/no/such/route"),
        (405, "DELETE", "/livez"),
        (400, "GET", "/nobody/balance"),
        (401, "GET", "/tenants"),
    ):
        reply = client.request(method, path, headers={"Origin": PAGE})
        assert reply.status_code == status
        assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("head", [{"baggage": "x" * 20_000}, {"host": "a b"}])
def test_what_is_wrong_with_a_head_can_be_read_too(
    client: httpx.Client, head: dict[str, str]
) -> None:
    """Nobody knows whether it had an Origin."""
    reply = client.get("/abc/balance", headers={"Origin": PAGE, **head})
    assert (reply.status_code, reply.json()) == (400, {"error": "Bad Request"})
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", {}, 401),
        ("POST", "/v1/chat/completions", {"messages": 1}, 400),
        (
            "POST",
            "/v1/messages",
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
            404,
        ),
        ("GET", "/v1/models", None, 401),
        ("POST", "/v1/images/generations", {}, 404),
        ("POST", "/v1/files", {}, 404),
        ("GET", "/v1/messages", None, 405),
    ],
)
def test_errors_of_the_providers_routes_can_be_read_in_full(
    open_to_all: Api, method: str, path: str, body: object, status: int
) -> None:
    of_user = {} if status == 401 else open_to_all.login().headers
    for origin in (PAGE, "null"):
        reply = open_to_all.client.request(
            method,
            f"/{open_to_all.tenant_id}{path}",
            json=body,
            headers={**of_user, "Origin": origin},
        )
        assert reply.status_code == status, reply.text
        assert reply.headers["access-control-allow-origin"] == "*"
        exposed = words(reply.headers["access-control-expose-headers"])
        assert exposed == EXPOSED >= {"request-id", "x-should-retry"}
