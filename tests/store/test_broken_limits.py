"""What another program has stored of a tenant's limits, and of holds that count for them: 503 for
its owner, and nothing is written."""

from collections.abc import Iterator

import httpx
import pytest

from server.store import keys
from tests.api import Api, config
from tests.broken import all_of, member
from tests.processes import Server, Valkey
from tests.stored import now_ms


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Of this file's own: the audits of other tests must not find what it breaks."""
    with Valkey(tmp_path_factory.mktemp("broken")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, so that requests share flushes."""
    output = tmp_path_factory.mktemp("one-worker") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="1") as server:
        yield server


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
