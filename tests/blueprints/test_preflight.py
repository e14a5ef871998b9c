"""CORS preflights: each is answered with yes, so that the request itself can say what is wrong."""

from pathlib import Path

import httpx
import pytest

from tests.api import Api, config
from tests.processes import Server, Valkey

PAGE = "https://app.example"


def preflight(
    client: httpx.Client, path: str, origin: str = PAGE, asked: str = "", method: str = "POST"
) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if asked:
        headers["Access-Control-Request-Headers"] = asked
    return client.options(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/auth/anonymous", "OPTIONS, POST"),
        ("/balance", "GET, HEAD, OPTIONS"),
        ("/charges", "OPTIONS, POST"),
        ("/holds", "OPTIONS, POST"),
        ("/admin/config", "GET, HEAD, OPTIONS, PUT"),
        ("/admin/keys/x", "DELETE, OPTIONS"),
    ],
)
def test_a_preflight_names_the_methods_and_needs_no_credential(
    api: Api, path: str, methods: str
) -> None:
    asked = methods.split(", ")[0]
    reply = preflight(api.client, f"/{api.tenant_id}{path}", asked="authorization", method=asked)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == reply.headers["allow"] == methods
    assert reply.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize("path", ["/", "/tenants", "/tenants/abc", "/livez"])
def test_a_preflight_of_a_route_without_a_tenant(api: Api, path: str) -> None:
    reply = preflight(api.client, path, asked="authorization")
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (204, "*")


# Of the kinds "no such tenant", "no such route", "no such method": what the request gets then.
WRONG = [
    ("GET", "/nobody/balance", 400, "Invalid tenant ID"),
    ("POST", "/ABC/charges", 400, "Invalid tenant ID"),
    ("POST", "/tenants/charges", 405, "Method Not Allowed"),
    ("POST", "/nobody/v1/chat/completions", 400, "Invalid tenant ID"),
    ("GET", "/abc/no-such-route", 404, "Not Found"),
    ("GET", "/abc/balance/of/nobody", 404, "Not Found"),
    ("GET", "/no/such/route", 404, "Not Found"),
    ("GET", "/abc/%7C", 404, "Not Found"),
    # What browsers send as it is, though no URL has it.
    ("GET", "/[object%20Object]/balance", 400, "Bad Request"),
    ("POST", "/abc/v1/models/[id]", 400, "Bad Request"),
    ("GET", "/abc/a|b", 400, "Bad Request"),
    ("GET", "/abc/a^b", 400, "Bad Request"),
    ("DELETE", "/abc/charges", 405, "Method Not Allowed"),
    ("PATCH", "/abc/admin/config", 405, "Method Not Allowed"),
    ("PUT", "/nobody/balance", 405, "Method Not Allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "error"), WRONG)
def test_what_is_wrong_is_said_by_the_reply_and_not_the_preflight(
    client: httpx.Client, method: str, path: str, status: int, error: str
) -> None:
    reply = preflight(client, path, asked="authorization", method=method)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert method in reply.headers["access-control-allow-methods"].split(", ")
    assert reply.headers["access-control-allow-headers"] == "authorization"
    reply = client.request(method, path, headers={"Origin": PAGE})
    assert (reply.status_code, reply.json()) == (status, {"error": error})
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "asked",
    [
        # SDKs, by themselves and by their options.
        "authorization, content-type, user-agent, x-stainless-os, x-stainless-retry-count",
        "openai-organization, openai-project, openai-beta",
        "x-api-key, anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access",
        "Authorization, X-API-KEY, Idempotency-Key, If-Match, X-Request-ID",
        "x-stainless-helper-method, x-goog-api-client, helicone-auth, http-referer, x-title",
        # What pages add for tracing, and by habit.
        "traceparent, tracestate, sentry-trace, baggage, x-datadog-trace-id, b3",
        "x-requested-with, cache-control, pragma, x-csrf-token, expires",
        "x_odd.name!#$%&'*+^`|~",
    ],
)
def test_each_header_that_is_asked_for_is_allowed(client: httpx.Client, asked: str) -> None:
    for path in ("/abc/v1/chat/completions", "/abc/charges", "/nobody/balance"):
        reply = preflight(client, path, asked=asked)
        assert reply.headers["access-control-allow-headers"] == asked
    reply = preflight(client, "/abc/charges", asked=asked.replace(", ", ","))
    assert reply.headers["access-control-allow-headers"] == asked


@pytest.mark.parametrize(
    "asked",
    [b"", b",", b"a b", b"a:b", b"anthropic-\xc5\x82", b"x-stainless-\xe9", b'"x"', b"x;y", b"[x]"],
)
def test_what_is_no_name_is_not_echoed(client: httpx.Client, asked: bytes) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": asked or b"(",
        "Access-Control-Request-Headers": asked,
    }
    reply = client.options("/abc/charges", headers=headers)  # type: ignore[arg-type]
    assert reply.status_code == 204
    assert "access-control-allow-headers" not in reply.headers
    assert reply.headers["access-control-allow-methods"] == "OPTIONS, POST"
    headers = {"Origin": asked}
    reply = client.get("/livez", headers=headers)  # type: ignore[arg-type]
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")


def test_a_preflight_of_any_origin_is_allowed_and_the_reply_is_not(client: httpx.Client) -> None:
    """It says nothing of the tenant, not even whether there is one."""
    api = Api.new_tenant(client, config() | {"allowed_origins": [PAGE]})
    path = f"/{api.tenant_id}/charges"
    for origin, allowed in ((PAGE, PAGE), ("https://other.example", None), ("null", None)):
        reply = preflight(client, path, origin, "authorization")
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (204, "*")
        reply = client.post(path, headers={"Origin": origin})
        assert reply.status_code == 401
        assert reply.headers.get("access-control-allow-origin") == allowed
        assert reply.headers["vary"] == "Origin"


def test_options_that_is_no_preflight_lists_the_methods_of_a_route_alone(
    client: httpx.Client,
) -> None:
    reply = client.options("/nobody/charges")
    assert (reply.status_code, reply.headers["allow"]) == (204, "OPTIONS, POST")
    reply = client.options("/abc/no-such-route", headers={"Origin": PAGE})
    assert (reply.status_code, reply.json()) == (404, {"error": "Not Found"})


def test_without_redis_the_preflight_is_answered_and_the_request_is_503(tmp_path: Path) -> None:
    with (
        Valkey(tmp_path / "data") as valkey,
        Server(tmp_path / "out", REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        valkey.stop()
        for path in ("/abc/charges", "/nobody/balance", "/abc/v1/files"):
            reply = preflight(client, path, asked="authorization, x-stainless-os")
            assert reply.status_code == 204
            assert reply.headers["access-control-allow-origin"] == "*"
        reply = client.post("/abc/charges", headers={"Origin": PAGE})
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.headers["access-control-allow-origin"] == "*"
