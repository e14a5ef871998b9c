"""What another program has stored of a tenant's limits, and of holds that count for them: 503 for
its owner, and nothing is written."""

import httpx
import pytest

from server.store import keys
from tests.api import Api, config
from tests.processes import Server, Valkey
from tests.store.broken.changes import all_of, member
from tests.stored import now_ms


@pytest.mark.parametrize("tokens", ['"5"', "null", "-5", "[]", '{"err": "odd"}', "1e300"])
def test_a_hold_after_odd_ones_that_lapsed(
    api: Api, valkey: Valkey, server: Server, tokens: str
) -> None:
    """They go back to the tenant's limit with it."""
    assert api.put_config(config() | {"limits": {"tokens_per_day": 1_000}}).status_code == 200
    user = api.login()
    day = now_ms(valkey) // 86_400_000
    member("lapsed", f'["{day:08x}", {tokens}]')(valkey, user)
    before = all_of(valkey, user)
    assert user.hold({"tokens": 5}).status_code == 503
    assert all_of(valkey, user) == before
    assert "Traceback" not in server.text()


@pytest.mark.parametrize("taken", ["nan", "-5", "1e300"])
def test_a_counter_of_no_units_is_for_its_tenant(
    client: httpx.Client, api: Api, valkey: Valkey, server: Server, taken: str
) -> None:
    limits = {"limits": {"tokens_per_day": 1_000}}
    assert api.put_config(config() | limits).status_code == 200
    other = Api.new_tenant(client, config() | limits).login()
    user, key = api.login(), keys.limit(api.tenant_id, "tokens_per_day")
    window = now_ms(valkey) // 86_400_000
    valkey.client.hset(key, mapping={"window": window, "taken": taken})
    assert user.charge().status_code == 503
    assert other.charge().status_code == 200
    valkey.client.delete(key)
    assert user.charge().status_code == 200
    assert "Traceback" not in server.text()
