"""A tenant's config: read, replaced whole, checked, compared and set."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from server.tenants.tenants import STORED_BYTES
from tests.api import ADMIN, GROUPS, Api, config
from tests.processes import Valkey


def etag_of(api: Api) -> str:
    return str(api.get("/admin/config", ADMIN).headers["etag"])


def config_of(api: Api) -> dict[str, Any]:
    reply = api.get("/admin/config", ADMIN)
    assert reply.status_code == 200
    return dict(reply.json()["config"])


def limited_to(tokens: int) -> dict[str, Any]:
    return config(anonymous={"tokens": tokens, "rate_limit": 9, "rate_limit_window": 9})


def test_a_config_is_read_back_as_it_was_put_unknown_members_too(api: Api, valkey: Valkey) -> None:
    value = config() | {"ours": {"a": [1, 2.5, None, True, "ä\u2028😀"], "z": {}}, "b": []}
    value["user_groups"]["anonymous"]["note"] = "kept"
    reply = api.put_config(value)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    assert config_of(api) == value
    assert json.loads(str(valkey.client.get(f"tenant:{api.tenant_id}:config"))) == value


def test_the_specified_first_config_is_valid_as_it_stands(client: httpx.Client, api: Api) -> None:
    first = config_of(Api(client, "abc"))
    assert first["user_groups"]["stripe_basic"]["tokens"] == 5000
    assert api.put_config(first).status_code == 200
    assert config_of(api) == first


def test_a_put_is_in_force_for_the_next_request_on_every_worker(api: Api) -> None:
    url, path = api.client.base_url, f"/{api.tenant_id}/auth/anonymous"
    clients = [httpx.Client(base_url=url, verify=False) for _ in range(8)]  # on both workers
    try:
        for tokens in range(20):
            assert api.put_config(limited_to(tokens)).status_code == 200
            found = {client.post(path).json()["tokensLeft"] for client in clients}
            assert found == {tokens}
    finally:
        for client in clients:
            client.close()


def test_a_plain_set_in_redis_is_in_force_too(api: Api, valkey: Valkey) -> None:
    before = etag_of(api)
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(limited_to(4)))
    assert api.post("/auth/anonymous").json()["tokensLeft"] == 4
    assert etag_of(api) != before
    assert api.put_config(config(), **{"If-Match": before}).status_code == 412
    assert api.put_config(config(), **{"If-Match": etag_of(api)}).status_code == 200


TOO_LARGE = json.dumps(config()) + " " * STORED_BYTES


@pytest.mark.parametrize(
    "stored",
    ["{", "[]", "5", "{}", '{"user_groups": 1}', "", pytest.param(TOO_LARGE, id="too large")],
)
def test_a_stored_config_that_is_not_valid_is_503_until_it_is_replaced(
    api: Api, valkey: Valkey, stored: str
) -> None:
    valkey.client.set(f"tenant:{api.tenant_id}:config", stored)
    reply = api.post("/auth/anonymous")
    assert (reply.status_code, reply.json()) == (503, {"error": "Service Unavailable"})
    assert api.client.get("/abc/balance").status_code == 401
    assert api.put_config(config()).status_code == 200
    assert api.post("/auth/anonymous").status_code == 200


OLD = '"0000000000000000000000000000000000000000"'


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("{}", 200),
        ("*", 200),
        (f"{OLD}, {{}}", 200),
        ("{} ,{}", 200),
        (OLD, 412),
        (f"{OLD},{OLD}", 412),
        ("W/{}", 412),  # a weak tag never matches, RFC 9110, 13.1.1
        ("W/{}, " + OLD, 412),
        ('""', 412),
        ("", 412),
        ("etag", 412),
        ('"', 412),
        ("**", 412),
    ],
)
def test_if_match(api: Api, if_match: str, status: int) -> None:
    before = etag_of(api)
    reply = api.put_config(limited_to(1), **{"If-Match": if_match.format(before, before)})
    assert reply.status_code == status
    if status == 412:
        assert reply.json() == {"error": "Precondition Failed"}
        assert etag_of(api) == before
    else:
        assert etag_of(api) != before


def test_if_match_over_several_headers(api: Api) -> None:
    headers = [*ADMIN.items(), ("If-Match", OLD), ("If-Match", etag_of(api))]
    path = f"/{api.tenant_id}/admin/config"
    reply = api.client.put(path, json={"config": config()}, headers=headers)
    assert reply.status_code == 200


def test_of_20_puts_with_one_etag_exactly_one_wins(api: Api) -> None:
    etag = etag_of(api)

    def put(tokens: int) -> tuple[int, int]:
        return api.put_config(limited_to(tokens), **{"If-Match": etag}).status_code, tokens

    with ThreadPoolExecutor(20) as pool:
        found = sorted(pool.map(put, range(20)))
    assert [status for status, _ in found] == [200] + [412] * 19
    assert config_of(api) == limited_to(found[0][1])


def test_every_fault_of_a_config_is_listed_and_nothing_changes(api: Api) -> None:
    before = etag_of(api)
    reply = api.put_config(
        {
            "user_groups": {
                "anonymous": {"tokens": -1, "rate_limit": 0, "rate_limit_window": 86_401},
                "paid": {"tokens": 10**13 + 1, "rate_limit": 10_001},
                "odd": {"tokens": "5", "rate_limit": 1.5, "rate_limit_window": True},
                "none": None,
            },
            "providers": {"text": {"endpoints": {"a": {"weight": 0}, "b": {"weight": 1001}}}},
            "allowed_origins": ["https://a.example", "a b", 5],
        }
    )
    assert reply.status_code == 422
    body = reply.json()
    assert (set(body), body["error"]) == ({"error", "details"}, "Invalid config")
    assert all(set(detail) == {"path", "message"} for detail in body["details"])
    assert sorted(detail["path"] for detail in body["details"]) == [
        "allowed_origins.1",
        "allowed_origins.2",
        "auth",
        "providers.text.endpoints.a.weight",
        "providers.text.endpoints.b.weight",
        "user_groups.anonymous.rate_limit",
        "user_groups.anonymous.rate_limit_window",
        "user_groups.anonymous.tokens",
        "user_groups.none",
        "user_groups.odd.rate_limit",
        "user_groups.odd.rate_limit_window",
        "user_groups.odd.tokens",
        "user_groups.paid.rate_limit",
        "user_groups.paid.rate_limit_window",
        "user_groups.paid.tokens",
    ]
    assert etag_of(api) == before


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, "auth"),
        ({"auth": {}, "providers": {}}, "user_groups"),
        ({"auth": {}, "providers": {}, "user_groups": {}}, "user_groups.anonymous"),
        ({"auth": [], "providers": {}, "user_groups": GROUPS}, "auth"),
        ({"auth": {}, "user_groups": GROUPS}, "providers"),
        (config() | {"providers": {"text": {"default": "x", "endpoints": {}}}}, "providers.text"),
        (config() | {"note": "x" * 65_536}, ""),
        (None, ""),
        ([], ""),
        ("x", ""),
    ],
)
def test_a_config_that_is_not_valid_is_422(api: Api, value: object, path: str) -> None:
    before = etag_of(api)
    reply = api.put_config(value)
    assert reply.status_code == 422
    assert any(detail["path"].startswith(path) for detail in reply.json()["details"])
    assert etag_of(api) == before


def test_a_config_may_be_64_kib_and_groups_as_large_as_the_bounds(api: Api) -> None:
    largest = {"tokens": 10**13, "rate_limit": 10_000, "rate_limit_window": 86_400}
    smallest = {"tokens": 0, "rate_limit": 1, "rate_limit_window": 1}
    value = config(anonymous=largest, paid=smallest) | {"note": ""}
    value["note"] = "x" * (65_536 - len(json.dumps(value, separators=(",", ":"))))
    assert api.put_config(value).status_code == 200
    assert api.post("/auth/anonymous").json()["tokensLeft"] == 10**13
    assert api.put_config(value | {"note": value["note"] + "x"}).status_code == 422
