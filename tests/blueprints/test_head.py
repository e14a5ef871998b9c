"""HEAD is wherever GET is: the same status and headers, and no body."""

import httpx
import pytest

from tests.api import ADMIN, Api, User
from tests.metrics.scrape import scrape
from tests.processes import Server
from tests.raw import exchange

OF_THE_SERVER = ("/", "/livez", "/readyz", "/docs", "/docs/openapi.json", "/tenants", "/nothing")
OF_A_TENANT = (
    *("/balance", "/ledger", "/ledger?limit=x", "/v1/models", "/v1/v1/models", "/nothing"),
    *("/admin/config", "/admin/users/{user}", "/admin/users/x"),
)


def same(client: httpx.Client, path: str, headers: dict[str, str]) -> int:
    """The status of both."""
    headers = headers | {"X-Request-ID": "same", "Origin": "https://app.example"}
    got, told = client.get(path, headers=headers), client.head(path, headers=headers)
    assert (told.status_code, told.headers, told.content) == (got.status_code, got.headers, b"")
    assert int(told.headers["content-length"]) == len(got.content) > 0
    return told.status_code


@pytest.fixture
def user(api: Api) -> User:
    return api.login()


def test_routes_of_the_server(client: httpx.Client, server: Server) -> None:
    statuses = {path: same(client, path, ADMIN) for path in OF_THE_SERVER}
    assert statuses == dict.fromkeys(OF_THE_SERVER, 200) | {"/nothing": 404}
    assert same(client, "/tenants", {}) == 401
    assert "Traceback" not in server.text()


def test_routes_of_a_tenant(user: User) -> None:
    """With its credentials, with none, and with those of the other half of the API."""
    api = user.api
    for path in OF_A_TENANT:
        url = f"/{api.tenant_id}{path}".format(user=user.user_id)
        right, wrong = (ADMIN, user.headers) if "/admin" in path else (user.headers, ADMIN)
        expected = {"/nothing": 404, "/admin/users/x": 404, "/ledger?limit=x": 422}.get(path, 200)
        assert same(api.client, url, right) == expected
        if path != "/nothing":
            refused = 422 if path == "/ledger?limit=x" else 401
            assert {same(api.client, url, headers) for headers in ({}, wrong)} <= {401, refused}
    anthropic = user.headers | {"anthropic-version": "2023-06-01"}
    assert same(api.client, f"/{api.tenant_id}/v1/models", anthropic) == 200
    assert same(api.client, f"/{api.tenant_id}/v1/models", {"anthropic-version": "x"}) == 401
    assert same(api.client, "/nobody/balance", user.headers) == 400


def test_metrics_count_it_as_get(client: httpx.Client) -> None:
    told = client.head("/metrics", headers=ADMIN)
    assert (told.status_code, told.content) == (200, b"")
    assert int(told.headers["content-length"]) > 100
    # No other test asks for this, which another worker might not have told of yet.
    labels = {"route": "GET /{tenantId}/v1/models", "status": "400"}
    before = scrape(client).value("vibe_requests_total", **labels)
    assert client.head("/nobody/v1/models").status_code == 400
    assert scrape(client).value("vibe_requests_total", **labels) == before + 1


def test_where_there_is_no_get_there_is_no_head(user: User) -> None:
    for path, methods in (("/charges", "OPTIONS, POST"), ("/auth/anonymous", "OPTIONS, POST")):
        reply = user.api.client.head(f"/{user.api.tenant_id}{path}", headers=user.headers)
        assert (reply.status_code, reply.content) == (405, b"")
        assert reply.headers["allow"] == methods


def test_a_connection_goes_on_after_it(server: Server) -> None:
    """And HTTP/1.0, and heads that are refused, get no body either."""
    head = b"HEAD /livez HTTP/1.1\r\nHost: test\r\n"
    with_body = head + b"Content-Length: 2\r\n\r\n{}"
    (first,) = exchange(server.url, head.replace(b"/1.1", b"/1.0") + b"\r\n", body=False)
    assert (first.status, first.headers["content-length"]) == (200, "15")
    replies = exchange(server.url, with_body + head + b"Connection: close\r\n\r\n", body=False)
    assert [reply.status for reply in replies] == [200, 200]
    (refused,) = exchange(server.url, head + b"Host: other\r\n\r\n", body=False)
    assert refused.status == 400
