"""What a worker remembers of tenants: bounded in memory, and the log tells only of what is new."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from server.tenants.config import parse_config
from server.tenants.tenants import CONFIG_BYTES, PARSED_BYTES, Tenant
from tests.api import ADMIN, Api, config
from tests.processes import Server, Valkey

MB = 1_000_000
TENANTS = 24


def largest() -> bytes:
    """The config that takes most memory of those that can be stored."""
    endpoints: dict[str, object] = {f"{n:x}": {} for n in range(6_900)}
    providers = {"text": {"endpoints": endpoints}}
    text = orjson.dumps(config() | {"providers": providers})
    assert CONFIG_BYTES * 0.95 < len(text) <= CONFIG_BYTES
    return text


def store(valkey: Valkey, text: bytes, count: int) -> list[str]:
    """Under new tenant IDs."""
    tenant_ids = [f"t-{uuid4().hex}" for _ in range(count)]
    for tenant_id in tenant_ids:
        valkey.client.set(f"tenant:{tenant_id}:config", text)
    return tenant_ids


def lines(server: Server, tenant_id: str) -> int:
    return server.text().count(f"Loaded tenant config for {tenant_id}\n")


def test_large_configs_do_not_take_more_than_their_room(valkey: Valkey, tmp_path: Path) -> None:
    tenant_ids = store(valkey, largest(), TENANTS)
    broken = [*store(valkey, b"{", 1), *store(valkey, b'{"auth": {}}', 1)]
    weight = Tenant("any", largest(), parse_config(orjson.loads(largest()))).weight()
    assert TENANTS * weight > 2 * PARSED_BYTES, "too few to show it"
    with (
        Server(tmp_path / "out", REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        before = server.resident()
        for _ in range(2):
            for tenant_id in broken:
                assert client.get(f"/{tenant_id}/balance").status_code == 503
            for tenant_id in tenant_ids:
                assert client.get(f"/{tenant_id}/balance").status_code == 401
        # What Python and malloc need beside it, and one that is parsed.
        assert server.resident() - before < PARSED_BYTES + 30 * MB
        assert [lines(server, tenant_id) for tenant_id in tenant_ids] == [1] * TENANTS
        for tenant_id in broken:
            assert server.text().count(f"[ERROR] Config of tenant {tenant_id}") == 1
        for _ in range(3):
            assert client.get(f"/nobody-{uuid4().hex}/balance").status_code == 400
        changed = config(anonymous={"tokens": 1, "rate_limit": 1, "rate_limit_window": 1})
        path = f"/{tenant_ids[0]}"
        reply = client.put(f"{path}/admin/config", json={"config": changed}, headers=ADMIN)
        assert reply.status_code == 200
        assert client.get(f"{path}/balance").status_code == 401
        assert lines(server, tenant_ids[0]) == 2
        assert "nobody" not in server.text()


def with_many_policies() -> bytes:
    """Of each of hundreds of groups the one model is offered by each of hundreds of endpoints."""
    group: dict[str, Any] = {"tokens": 1, "rate_limit": 1, "rate_limit_window": 1, "models": ["x"]}
    groups = {f"g{n}": {**group, "max_output": n + 1} for n in range(480)}
    providers = {"text": {"endpoints": {f"e{n}": {"default_model": "x"} for n in range(700)}}}
    text = orjson.dumps(config(**groups) | {"providers": providers})
    assert CONFIG_BYTES * 0.95 < len(text) <= CONFIG_BYTES
    return text


def test_what_groups_may_do_takes_no_more(valkey: Valkey, tmp_path: Path) -> None:
    tenant_ids = store(valkey, with_many_policies(), TENANTS)
    with (
        Server(tmp_path / "out", REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        before = server.resident()
        for tenant_id in tenant_ids:
            user = Api(client, tenant_id).login()
            assert user.api.get("/v1/models", user.headers).status_code == 200
        assert server.resident() - before < PARSED_BYTES + 30 * MB
