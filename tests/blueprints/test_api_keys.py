"""Which API keys open a tenant's routes: only one that a user of this tenant has just now."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api import Api, User
from tests.endpoints import endpoint, text_config
from tests.processes import Valkey

CALL: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
ROUTES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/balance", None),
    ("GET", "/ledger", None),
    ("POST", "/charges", {}),
    ("POST", "/holds", {"tokens": 1}),
    ("POST", f"/holds/{'0' * 32}/settle", {"tokens": 1}),
    ("POST", "/v1/chat/completions", CALL),
    ("POST", "/v1/messages", CALL),
    ("GET", "/v1/models", None),
]


@pytest.fixture
def api(client: httpx.Client) -> Api:
    """With an endpoint that nobody gets to."""
    return Api.new_tenant(client, text_config({"main": endpoint("https://provider.invalid")}))


def revoked(api: Api, valkey: Valkey) -> str:
    user = api.login()
    user.charge()  # the workers may remember whose key it is
    assert api.revoke(user.api_key).status_code == 204
    return user.api_key


def revoked_from_a_user_with_another(api: Api, valkey: Valkey) -> str:
    """The key's own name is still there: its user decides."""
    user = api.login()
    api_key = revoked(api, valkey)
    valkey.client.set(f"apiKey:{api_key}", user.user_id)
    return api_key


def expired(api: Api, valkey: Valkey) -> str:
    """The user has, and its key a moment later."""
    user = api.login()
    valkey.client.delete(f"user:{user.user_id}")
    return user.api_key


MADE: dict[str, Callable[[Api, Valkey], str]] = {
    "none": lambda api, valkey: "",
    "malformed": lambda api, valkey: "a b",
    "too long": lambda api, valkey: "a" * 81,
    "unknown": lambda api, valkey: f"temp_{uuid4()}",
    "revoked": revoked,
    "revoked, and still there": revoked_from_a_user_with_another,
    "of another tenant": lambda api, valkey: Api.new_tenant(api.client).login().api_key,
    "of an expired user": expired,
}


@pytest.mark.parametrize("name", MADE)
def test_a_key_that_opens_nothing(api: Api, valkey: Valkey, name: str) -> None:
    api_key = MADE[name](api, valkey)
    either: list[dict[str, str]] = [
        {"Authorization": f"Bearer {api_key}"},
        {"X-API-Key": api_key},
    ]
    for headers in either if api_key else [{}]:
        for method, path, body in ROUTES:
            url = f"/{api.tenant_id}{path}"
            reply = api.client.request(method, url, json=body, headers=headers)
            assert reply.status_code == 401, (path, reply.text)
            assert reply.headers["www-authenticate"] == "Bearer"
            if "/v1" not in path:
                assert reply.json() == {"error": "Invalid API key"}


def test_either_header_opens(api: Api) -> None:
    user: User = api.login()
    for headers in (user.headers, {"X-API-Key": user.api_key}):
        assert api.post("/charges", {}, headers).status_code == 200


def test_of_both_headers_x_api_key_counts(api: Api) -> None:
    """So that a client, or a proxy, may send somebody else's bearer beside it."""
    user, other = api.login(), api.login()
    for bearer in ("sk-ant-oat01-of-a-provider", other.api_key, user.api_key):
        headers = {"Authorization": f"Bearer {bearer}", "X-API-Key": user.api_key}
        for method, path, body in ROUTES:
            url = f"/{api.tenant_id}{path}"
            reply = api.client.request(method, url, json=body, headers=headers)
            assert reply.status_code != 401, (path, reply.text)
        refused = {**headers, "X-API-Key": f"temp_{uuid4()}"}
        assert api.get("/balance", refused).status_code == 401
    assert api.get("/balance", {**user.headers, "X-API-Key": ""}).status_code == 200
    assert user.balance()["tokensUsed"] == 3
    assert other.balance()["tokensUsed"] == 0
