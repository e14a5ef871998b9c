"""Creating, listing and deleting tenants over HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.api import ADMIN, Api, config
from tests.processes import Server, Valkey


def test_a_created_tenant_is_listed_and_serves(client: httpx.Client) -> None:
    tenant_id = f"t-{uuid4().hex}"
    body = {"tenantId": tenant_id, "config": config()}
    reply = client.post("/tenants", json=body, headers=ADMIN)
    assert (reply.status_code, reply.json()) == (201, {"tenantId": tenant_id})
    assert client.post(f"/{tenant_id}/auth/anonymous").status_code == 200
    listed = client.get("/tenants", headers=ADMIN)
    assert listed.status_code == 200
    assert set(listed.json()) == {"tenants"}
    assert {"abc", tenant_id} <= set(listed.json()["tenants"])
    again = client.post("/tenants", json=body, headers=ADMIN)
    assert (again.status_code, again.json()) == (409, {"error": "Tenant exists"})


def test_of_20_creations_exactly_one_succeeds(client: httpx.Client) -> None:
    body = {"tenantId": f"t-{uuid4().hex}", "config": config()}

    def create(_: int) -> int:
        return client.post("/tenants", json=body, headers=ADMIN).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(create, range(20))) == [201] + [409] * 19


def test_a_deleted_tenant_is_gone_at_once_and_for_good(client: httpx.Client) -> None:
    api = Api.new_tenant(client)
    user = api.login()
    deleted = client.delete(f"/tenants/{api.tenant_id}", headers=ADMIN)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for reply in (
        user.charge(),
        api.post("/auth/anonymous"),
        api.get("/admin/config", ADMIN),
        api.put_config(config()),
        client.delete(f"/tenants/{api.tenant_id}", headers=ADMIN),
    ):
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})
    body = {"tenantId": api.tenant_id, "config": config()}
    again = client.post("/tenants", json=body, headers=ADMIN)
    assert (again.status_code, again.json()) == (409, {"error": "Tenant exists"})
    assert api.tenant_id not in client.get("/tenants", headers=ADMIN).json()["tenants"]
    other = Api.new_tenant(client)
    assert other.get("/balance", user.headers).status_code == 401


def test_a_deleted_first_tenant_does_not_come_back_with_the_next_start(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("again") / "out"
    url = f"{valkey.url}/1"
    for status in (204, 400):
        with Server(output, REDIS_URL=url) as server:
            assert httpx.delete(f"{server.url}/tenants/abc", headers=ADMIN).status_code == status


BAD_IDS = ["", "A", "-a", "_a", "a.b", "a b", "a/b", "a:b", "ä", "a" * 64, "a\n", "\u0661", "*"]


def test_malformed_tenant_ids_are_422(client: httpx.Client) -> None:
    for tenant_id in (*BAD_IDS, None, 5, ["a"], {"a": 1}, True):
        body = {"tenantId": tenant_id, "config": config()}
        reply = client.post("/tenants", json=body, headers=ADMIN)
        assert reply.status_code == 422
        assert [detail["path"] for detail in reply.json()["details"]] == ["tenantId"]


@pytest.mark.parametrize("tenant_id", ["tenants", "docs", "livez", "readyz", "metrics"])
def test_reserved_tenant_ids_are_422_and_never_served(
    client: httpx.Client, valkey: Valkey, tenant_id: str
) -> None:
    body = {"tenantId": tenant_id, "config": config()}
    assert client.post("/tenants", json=body, headers=ADMIN).status_code == 422
    key = f"tenant:{tenant_id}:config"
    valkey.client.set(key, json.dumps(config()))
    try:
        assert client.post(f"/{tenant_id}/auth/anonymous").status_code == 400
        assert tenant_id not in client.get("/tenants", headers=ADMIN).json()["tenants"]
        assert client.delete(f"/tenants/{tenant_id}", headers=ADMIN).status_code == 400
    finally:
        valkey.client.delete(key)


def test_malformed_tenant_ids_in_a_path_are_400(client: httpx.Client) -> None:
    for tenant_id in ("A", "-a", "a.b", "a" * 64, "%61%00", "%ff", "%2e", "%C3%A4"):
        for reply in (
            client.post(f"/{tenant_id}/auth/anonymous"),
            client.get(f"/{tenant_id}/admin/config", headers=ADMIN),
            client.delete(f"/tenants/{tenant_id}", headers=ADMIN),
        ):
            assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})


def test_every_fault_of_a_new_tenant_is_listed(client: httpx.Client) -> None:
    reply = client.post("/tenants", json={"tenantId": "A", "config": {"auth": {}}}, headers=ADMIN)
    assert reply.status_code == 422
    paths = {detail["path"] for detail in reply.json()["details"]}
    assert paths == {"tenantId", "user_groups", "providers"}
