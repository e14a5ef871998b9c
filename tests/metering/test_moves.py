"""A move to a group, whatever the group is called."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.metering.accounts import Accounts
from server.metering.renewal import Renewal
from server.store.store import Store
from server.tenants.groups import Group
from tests.api import ADMIN, Api
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink
from tests.stored import user_key


@pytest.mark.parametrize("name", ["", "grant", "tokens 70", "a\0b", "ü" * 64])
async def test_a_move_adds_nothing_however_often(api: Api, valkey: Valkey, name: str) -> None:
    user = api.login()
    user.charge(10)
    group = Group(tokens=70, rate_limit=5, rate_limit_window=6)
    store = Store(valkey.url, 5)
    await store.start()
    try:
        accounts = Accounts(store, 200, 1_000_000, Renewal(store, 200, 1_000_000))
        for once in (None, None, "one", "one"):
            moved = await accounts.move(api.tenant_id, user.user_id, name, group, {}, once)
            assert (moved.tokens_left, moved.group) == (70, name)
    finally:
        await store.close()
    balance = user.balance()
    assert (balance["tokensLeft"], balance["rateLimit"], balance["expiresAt"]) == (70, 5, None)
    assert [entry["op"] for entry in user.ledger()] == ["group"] * 3 + ["charge", "grant"]


@pytest.mark.parametrize(("first", "last"), [("anonymous", "paid"), ("paid", "anonymous")])
def test_a_key_expires_with_its_user_whichever_move_ends_last(
    api: Api, valkey: Valkey, tmp_path: Path, first: str, last: str
) -> None:
    user = api.login()
    user.grant({"group": "paid"})
    user.grant({"group": last})
    key = f"apiKey:{user.api_key}"
    with (
        RedisLink(valkey) as link,
        Server(tmp_path / "out", REDIS_URL=link.redis_url, REDIS_TIMEOUT="10") as slow,
        httpx.Client(base_url=slow.url, timeout=20) as client,
        ThreadPoolExecutor() as threads,
    ):
        link.hold(key.encode())
        path = f"/{api.tenant_id}/admin/users/{user.user_id}/grants"
        moving = threads.submit(client.post, path, json={"group": first}, headers=ADMIN)
        if first == "paid":  # a key that is to be permanent is so before its user
            for _ in ("the key", "the user"):
                eventually(link.is_waiting)
                link.let_one_through()
        eventually(lambda: user.balance()["group"] == first)
        assert user.grant({"group": last}).status_code == 200
        link.release()
        assert moving.result().status_code == 200
    expiries = valkey.client.pexpiretime(key), valkey.client.pexpiretime(user_key(user))
    assert expiries[0] == expiries[1]
    assert (expiries[1] == -1) == (last == "paid")
