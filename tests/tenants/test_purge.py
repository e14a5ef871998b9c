"""The purge command takes what a deleted tenant left, and nothing of another."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import api as contract
from tests.api import ADMIN, Api, User
from tests.processes import Server, Valkey

ADDRESS = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, so that it can look at every key."""
    with Valkey(tmp_path / "valkey") as valkey:
        yield valkey


def purge(folder: Path, url: str, tenant_id: str) -> tuple[int, str]:
    """The exit status and the output."""
    output = folder / f"purge-{len(list(folder.iterdir()))}"
    with Server(output, "purge", "--tenant", tenant_id, wait=False, REDIS_URL=url) as command:
        return command.wait(), command.text()


def keys_of(valkey: Valkey) -> set[str]:
    return set(valkey.client.scan_iter(count=1000))


def use(api: Api) -> User:
    """A user with each kind of key that a user can have."""
    reply = api.post("/auth/anonymous", headers=ADDRESS)
    user = User(api, reply.json())
    assert user.charge(1, **{"Idempotency-Key": "once"}).status_code == 200
    user.restricted(tokens=1)
    return user


def test_purge(own: Valkey, tmp_path: Path) -> None:
    with (
        Server(tmp_path / "out", REDIS_URL=own.url, PROXIES_COUNT="1") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        limits = {"tokens_per_day": 1_000, "calls_per_minute": 1_000}
        ours = Api.new_tenant(client, contract.config() | {"limits": limits})
        other = Api.new_tenant(client)
        use(other)
        others = keys_of(own)
        users = [use(ours), use(ours)]
        users[0].grant({"group": "paid"})
        # As earlier versions called it.
        own.client.lpush(f"tenant:{ours.tenant_id}:logins:203.0.113.7", "1")
        left = keys_of(own) - others
        # User, key, rate, once, ledger and restricted keys of each; three counters of the address,
        # two of limits.
        assert len(left) == 17

        status, text = purge(tmp_path, own.url, ours.tenant_id)
        assert (status, text) == (1, f"[ERROR] Tenant {ours.tenant_id} exists: delete it first\n")
        status, text = purge(tmp_path, own.url, "*")
        assert (status, text) == (1, "[ERROR] '*' is not a tenant ID\n")
        assert keys_of(own) == others | left

        deleted = client.delete(f"/tenants/{ours.tenant_id}", headers=ADMIN)
        assert deleted.status_code == 204
        # Of another program that shares this Redis, and no user.
        own.client.hset("user:session", "a", "b")
        own.client.mset({"user:text": "text", "user:list": "[]"})
        own.client.hset("apiKey:session", "a", "b")
        # Left over: of a user of the tenant, and of nobody, to stay; a login makes its key first.
        own.client.mset({"apiKey:left": users[0].user_id, "apiKey:nobodys": "gone"})
        own.client.set("apiKey:of-a-login", "to-come", ex=1000)
        # Of another type.
        own.client.delete(f"{{user:{users[1].user_id}}}:ledger")
        own.client.sadd(f"{{user:{users[1].user_id}}}:ledger", "a")
        for removed in 2, 0:
            status, text = purge(tmp_path, own.url, ours.tenant_id)
            expected = f"[INFO] Removed {removed} users of tenant {ours.tenant_id}\n"
            assert (status, text) == (0, expected)
        config = f"tenant:{ours.tenant_id}:config"
        foreign = {"user:session", "user:text", "user:list", "apiKey:session", "apiKey:of-a-login"}
        # The ID is not given out again.
        assert keys_of(own) == others - {config} | {f"{{{config}}}:deleted"} | foreign


def test_purge_without_redis(tmp_path: Path) -> None:
    status, text = purge(tmp_path, "redis://127.0.0.1:1", "gone")
    assert status == 1
    assert text.startswith("[ERROR] Redis connection failed: ")
    assert text.count("\n") == 1
