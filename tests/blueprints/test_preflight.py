"""CORS preflights: the methods and the headers that a page may use."""

import httpx
import pytest

from tests.api import Api, config

PAGE = "https://app.example"


def preflight(api: Api, path: str, origin: str = PAGE, asked: str = "") -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    if asked:
        headers["Access-Control-Request-Headers"] = asked
    return api.client.options(path, headers=headers)


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
    reply = preflight(api, f"/{api.tenant_id}{path}", asked="authorization")
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == reply.headers["allow"] == methods
    assert reply.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize("path", ["/", "/tenants", "/tenants/abc", "/livez"])
def test_a_preflight_of_a_route_without_a_tenant(api: Api, path: str) -> None:
    reply = preflight(api, path, asked="authorization")
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (204, "*")


def test_a_preflight_echoes_the_headers_that_are_known(api: Api) -> None:
    known = (
        "authorization, content-type, idempotency-key, if-match, x-api-key, x-request-id, "
        "anthropic-version, anthropic-dangerous-direct-browser-access, x-stainless-os, "
        "x-stainless-retry-count, Authorization, X-API-KEY, X-Stainless-OS"
    )
    reply = preflight(api, f"/{api.tenant_id}/charges", asked=known)
    assert reply.headers["access-control-allow-headers"] == known
    assert preflight(
        api, f"/{api.tenant_id}/charges", asked="content-type,x-evil,  if-match"
    ).headers["access-control-allow-headers"] in ("content-type, if-match", "content-type,if-match")


@pytest.mark.parametrize(
    "asked",
    [
        *("cookie", "x-forwarded-for", "x-evil", "*", "", ",", "anthropic", "anthropic_x"),
        *(
            "x-authorization",
            "authorization2",
            "anthropic- x",
            "x-stainless-a:b",
            "not-anthropic-x",
        ),
    ],
)
def test_a_preflight_echoes_no_other_header(api: Api, asked: str) -> None:
    reply = preflight(api, f"/{api.tenant_id}/charges", asked=asked)
    assert reply.status_code == 204
    assert "access-control-allow-headers" not in reply.headers


@pytest.mark.parametrize("asked", [b"anthropic-\xc5\x82", b"x-stainless-\xe9", b"anthropic-\xff"])
def test_bytes_that_are_no_header_name_do_no_harm(api: Api, asked: bytes) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    reply = api.client.options(f"/{api.tenant_id}/charges", headers=headers)  # type: ignore[arg-type]
    assert reply.status_code == 204
    assert "access-control-allow-headers" not in reply.headers
    headers = {"Origin": asked}
    reply = api.client.get("/livez", headers=headers)  # type: ignore[arg-type]
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")


def test_only_a_page_of_the_tenants_origins_is_told_that_it_may(client: httpx.Client) -> None:
    api = Api.new_tenant(client, config() | {"allowed_origins": [PAGE]})
    path = f"/{api.tenant_id}/charges"
    for origin, allowed in ((PAGE, PAGE), ("https://other.example", None), ("null", None)):
        reply = preflight(api, path, origin, "authorization")
        assert reply.status_code == 204
        assert reply.headers.get("access-control-allow-origin") == allowed
        assert reply.headers["vary"] == "Origin"


def test_a_preflight_of_an_unknown_tenant_or_route(client: httpx.Client) -> None:
    api = Api(client, "nobody")
    reply = preflight(api, "/nobody/charges")
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})
    assert reply.headers["access-control-allow-origin"] == "*"
    reply = preflight(api, "/abc/no-such-route")
    assert (reply.status_code, reply.json()) == (404, {"error": "Not Found"})
