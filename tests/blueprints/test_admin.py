"""Administration over HTTP: who may, a tenant's users and their keys."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.api import ADMIN, Api, User, config
from tests.processes import ADMIN_TOKEN, Server, Valkey

DAY_MS = 86_400_000

ROUTES = [
    ("GET", "/{tenant}/admin/config"),
    ("PUT", "/{tenant}/admin/config"),
    ("GET", "/{tenant}/admin/users/x"),
    ("POST", "/{tenant}/admin/users/x/grants"),
    ("DELETE", "/{tenant}/admin/keys/x"),
    ("POST", "/tenants"),
    ("GET", "/tenants"),
    ("DELETE", "/tenants/{tenant}"),
]


def read_user(api: Api, user_id: str) -> httpx.Response:
    return api.get(f"/admin/users/{user_id}", ADMIN)


def expiries(valkey: Valkey, user: User) -> list[int]:
    """Milliseconds left to the user, its API key and its ledger; -1 is permanent."""
    key = f"user:{user.user_id}"
    names = (key, f"apiKey:{user.api_key}", f"{{{key}}}:ledger")
    return [int(str(valkey.client.pttl(name))) for name in names]


# Who may


CREDENTIALS = [
    "",
    "Bearer",
    "Bearer wrong",
    f"Bearer {ADMIN_TOKEN}x",
    f"Bearer {ADMIN_TOKEN[:-1]}",
    f"Bearer {ADMIN_TOKEN.upper()}",
    f"Basic {ADMIN_TOKEN}",
    ADMIN_TOKEN,
    b"Bearer \xff\xfe",
    "Bearer " + "x" * 4000,
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_the_admin_token_401(api: Api, method: str, path: str) -> None:
    path = path.format(tenant=api.tenant_id)
    for headers in ({}, *({"Authorization": credential} for credential in CREDENTIALS)):
        reply = api.client.request(method, path, headers=headers)  # type: ignore[arg-type]
        assert (reply.status_code, reply.json()) == (401, {"error": "Invalid admin token"})
        assert reply.headers["www-authenticate"] == "Bearer"


def test_a_users_api_key_administers_nothing(api: Api) -> None:
    user = api.login()
    assert api.get("/admin/config", user.headers).status_code == 401
    assert api.get("/admin/config", {"X-API-Key": ADMIN_TOKEN}).status_code == 401
    assert api.get("/balance", ADMIN).json() == {"error": "Invalid API key"}


def test_without_a_configured_token_nobody_may(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("closed") / "out"
    with Server(output, REDIS_URL=valkey.url, ADMIN_TOKEN="") as server:
        for authorization in ("", "Bearer", "Bearer x"):
            reply = httpx.get(f"{server.url}/tenants", headers={"Authorization": authorization})
            assert (reply.status_code, reply.json()) == (401, {"error": "Invalid admin token"})
        assert "ADMIN_TOKEN" in server.text()


def test_the_tenant_is_checked_before_the_token(client: httpx.Client) -> None:
    for headers in ({}, ADMIN):
        reply = client.get("/nobody/admin/config", headers=headers)
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})


# Users, grants, groups


def test_an_administrator_sees_a_user_as_its_own_balance(api: Api) -> None:
    user = api.login()
    user.charge(7)
    reply = read_user(api, user.user_id)
    assert (reply.status_code, reply.json()) == (200, user.balance())
    assert reply.json()["tokensLeft"] == 93


def test_unknown_users_and_keys_are_404(api: Api) -> None:
    for user_id in ("x", str(uuid4()), "x" * 65, "a.b", "%00", "%ff", "ä", "a:b"):
        grants = f"/admin/users/{user_id}/grants"
        for reply in (
            read_user(api, user_id),
            api.post(grants, {"tokens": 1}, ADMIN),
            api.post(grants, {"group": "paid"}, ADMIN),
            api.revoke(user_id),
        ):
            assert (reply.status_code, reply.json()) == (404, {"error": "Not Found"})


def test_another_tenants_users_and_keys_are_404(api: Api) -> None:
    user = Api.new_tenant(api.client).login()
    grants = f"/admin/users/{user.user_id}/grants"
    assert read_user(api, user.user_id).status_code == 404
    assert api.post(grants, {"tokens": 1}, ADMIN).status_code == 404
    assert api.post(grants, {"group": "paid"}, ADMIN).status_code == 404
    assert api.revoke(user.api_key).status_code == 404
    assert (user.balance()["tokensLeft"], user.balance()["group"]) == (100, "anonymous")


def test_a_grant_adds_makes_permanent_and_changes_nothing_else(api: Api, valkey: Valkey) -> None:
    user = api.login()
    user.charge()
    before = user.balance()
    reply = user.grant({"tokens": 500})
    assert (reply.status_code, reply.json()) == (200, {"tokensLeft": 599, "group": "anonymous"})
    after = user.balance()
    assert after == before | {"tokensLeft": 599, "tokensExtra": 500, "expiresAt": None}
    assert expiries(valkey, user) == [-1, -1, -1]


def test_grants_up_to_the_largest_balance(api: Api) -> None:
    user = api.login()
    assert user.grant({"tokens": 10**13 - 100}).json()["tokensLeft"] == 10**13
    refused = user.grant({"tokens": 1})
    assert refused.status_code == 422
    assert refused.json()["details"]
    assert user.balance()["tokensLeft"] == 10**13
    assert user.charge(10**13).json() == {"tokensLeft": 0}


@pytest.mark.parametrize(
    "body", [{}, None, {"tokens": 5, "group": "paid"}, {"group": "nobodys"}, {"group": "Paid"}]
)
def test_neither_both_or_an_unknown_group_is_422(api: Api, body: object) -> None:
    user = api.login()
    before = user.balance()
    reply = user.grant(body)
    assert reply.status_code == 422
    assert reply.json()["details"]
    assert user.balance() == before


def test_a_move_to_another_group_makes_permanent_and_back_temporary(
    api: Api, valkey: Valkey
) -> None:
    user = api.login()
    user.charge(30)
    assert api.post("/holds", {"tokens": 20}, user.headers).status_code == 201
    paid = {"tokens": 5_000, "rate_limit": 77, "rate_limit_window": 88}
    assert api.put_config(config(paid=paid)).status_code == 200
    reply = user.grant({"group": "paid"})
    assert (reply.status_code, reply.json()) == (200, {"tokensLeft": 4_980, "group": "paid"})
    balance = user.balance()
    assert (balance["rateLimit"], balance["rateLimitWindow"]) == (77, 88)
    assert (balance["tokensHeld"], balance["expiresAt"]) == (20, None)
    assert expiries(valkey, user) == [-1, -1, -1]
    reply = user.grant({"group": "anonymous"})
    assert reply.json() == {"tokensLeft": 80, "group": "anonymous"}
    left = expiries(valkey, user)
    assert len({round(ms / 1000) for ms in left}) <= 2
    assert all(30 * DAY_MS - 10_000 < ms <= 30 * DAY_MS for ms in left)
    assert user.balance()["rateLimit"] == 10_000


def test_a_move_within_temporary_groups_prolongs_nothing(api: Api, valkey: Valkey) -> None:
    user = api.login()
    key = f"user:{user.user_id}"
    for name in (key, f"apiKey:{user.api_key}", f"{{{key}}}:ledger"):
        valkey.client.pexpire(name, DAY_MS)
    assert user.grant({"group": "anonymous"}).status_code == 200
    assert all(DAY_MS - 10_000 < ms <= DAY_MS for ms in expiries(valkey, user))


def test_a_grant_with_an_idempotency_key_is_made_once(api: Api, valkey: Valkey) -> None:
    user = api.login()
    key = {"Idempotency-Key": "one"}
    assert user.charge(1, **key).json() == {"tokensLeft": 99}  # a name space of its own
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: user.grant({"tokens": 500}, **key), range(8)))
    assert [reply.json() for reply in replies] == [{"tokensLeft": 599, "group": "anonymous"}] * 8
    replayed = [reply.headers.get("idempotent-replayed") for reply in replies]
    assert sorted(replayed, key=str) == [None] + ["true"] * 7
    reused = user.grant({"group": "paid"}, **key)
    assert reused.status_code == 422
    assert reused.json() == {"error": "Idempotency-Key reused with another request"}
    assert user.balance()["tokensLeft"] == 599


def test_a_replayed_move_makes_the_keys_permanent_again(api: Api, valkey: Valkey) -> None:
    """Whoever made the move may have died between the user and the user's keys."""
    user = api.login()
    user.grant({"group": "paid"}, **{"Idempotency-Key": "move"})
    valkey.client.expire(f"apiKey:{user.api_key}", 100)
    assert user.grant({"group": "paid"}, **{"Idempotency-Key": "move"}).status_code == 200
    assert expiries(valkey, user) == [-1, -1, -1]


# Revoking


def test_a_revoked_key_is_refused_at_once_on_every_worker(api: Api, valkey: Valkey) -> None:
    user, other = api.login(), api.login()
    clients = [httpx.Client(base_url=api.client.base_url, verify=False) for _ in range(8)]
    path = f"/{api.tenant_id}/balance"
    try:
        assert {client.get(path, headers=user.headers).status_code for client in clients} == {200}
        reply = api.revoke(user.api_key)
        assert (reply.status_code, reply.content) == (204, b"")
        assert {client.get(path, headers=user.headers).status_code for client in clients} == {401}
    finally:
        for client in clients:
            client.close()
    assert user.charge().json() == {"error": "Invalid API key"}
    assert api.revoke(user.api_key).status_code == 404
    assert not valkey.client.exists(f"apiKey:{user.api_key}")
    assert read_user(api, user.user_id).json()["tokensLeft"] == 100
    assert other.charge().status_code == 200
