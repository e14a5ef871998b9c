"""A move to a group, whatever the group is called."""

import pytest

from server.metering.accounts import Accounts
from server.store.store import Store
from server.tenants.config import Group
from tests.api import Api
from tests.processes import Valkey


@pytest.mark.parametrize("name", ["", "grant", "tokens 70", "a\0b", "ü" * 64])
async def test_a_move_adds_nothing_however_often(api: Api, valkey: Valkey, name: str) -> None:
    user = api.login()
    user.charge(10)
    group = Group(tokens=70, rate_limit=5, rate_limit_window=6)
    store = Store(valkey.url, 5)
    await store.start()
    try:
        accounts = Accounts(store, 200, 1_000_000)
        for once in (None, None, "one", "one"):
            moved = await accounts.move(api.tenant_id, user.user_id, name, group, {}, once)
            assert (moved.tokens_left, moved.group) == (70, name)
    finally:
        await store.close()
    balance = user.balance()
    assert (balance["tokensLeft"], balance["rateLimit"], balance["expiresAt"]) == (70, 5, None)
    assert [entry["op"] for entry in user.ledger()] == ["group"] * 3 + ["charge", "grant"]
