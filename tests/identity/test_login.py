"""Anonymous logins: the reply, what it leaves in Redis, and the limit by the client's address."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from redis.exceptions import ResponseError

from server.store import keys
from server.store.store import Store
from tests.api import Api, config
from tests.processes import Server, Valkey, eventually

DAY_MS = 86_400_000
PER_MINUTE = 3
PROXY_SECRET = "the-proxys-secret"


def login(api: Api, **headers: str) -> httpx.Response:
    return api.post("/auth/anonymous", None, headers)


def statuses(api: Api, address: str, times: int) -> list[int]:
    """Of logins that the proxy in front of us says came from `address`."""
    return [login(api, **{"x-forwarded-for": address}).status_code for _ in range(times)]


def logins(valkey: Valkey, api: Api) -> list[str]:
    """The addresses whose logins are counted."""
    prefix = f"tenant:{api.tenant_id}:logins:"
    return sorted(str(key).removeprefix(prefix) for key in valkey.client.scan_iter(f"{prefix}*"))


@pytest.fixture(scope="module")
def behind_proxy(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A server of its own, two workers behind a declared proxy, with a low limit."""
    output = tmp_path_factory.mktemp("behind-proxy") / "out"
    with (
        Server(
            output,
            REDIS_URL=valkey.url,
            WORKERS="2",
            PROXIES_COUNT="1",
            FORWARDED_SECRET=PROXY_SECRET,
            ANONYMOUS_LOGINS_PER_MINUTE=str(PER_MINUTE),
            USER_TTL_DAYS="2",
        ) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def limited(behind_proxy: httpx.Client) -> Api:
    return Api.new_tenant(behind_proxy)


def test_the_reply_is_exactly_as_in_the_contract(client: httpx.Client) -> None:
    group = {"tokens": 77, "rate_limit": 7, "rate_limit_window": 33}
    api = Api.new_tenant(client, config(anonymous=group))
    reply = login(api)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert list(body) == ["apiKey", "tokensLeft", "rateLimit", "rateLimitWindow", "userId"]
    assert (body["tokensLeft"], body["rateLimit"], body["rateLimitWindow"]) == (77, 7, 33)
    assert body["apiKey"].startswith("temp_")
    for text in (body["apiKey"].removeprefix("temp_"), body["userId"]):
        assert (str(UUID(text)), UUID(text).version) == (text, 4)


def test_the_first_tenant_is_there_and_gives_what_its_config_says(client: httpx.Client) -> None:
    body = login(Api(client, "abc")).json()
    assert (body["tokensLeft"], body["rateLimit"], body["rateLimitWindow"]) == (100, 10, 60)


def test_the_keys_in_redis_are_as_specified_and_expire_together(api: Api, valkey: Valkey) -> None:
    before = time.time()
    body = login(api).json()
    user_key, api_key = f"user:{body['userId']}", f"apiKey:{body['apiKey']}"
    assert valkey.client.get(api_key) == body["userId"]
    user = json.loads(str(valkey.client.get(user_key)))
    assert (user["tokensLeft"], user["group"], user["tenantId"]) == (
        100,
        "anonymous",
        api.tenant_id,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", user["createdAt"])
    created_at = datetime.fromisoformat(user["createdAt"])
    assert created_at.tzinfo == UTC
    assert before - 0.001 <= created_at.timestamp() <= time.time()
    expiry = valkey.client.pexpiretime(user_key)
    assert expiry == round(created_at.timestamp() * 1000) + 30 * DAY_MS
    assert valkey.client.pexpiretime(api_key) == expiry
    assert valkey.client.pexpiretime(f"{{{user_key}}}:ledger") == expiry
    balance = api.get("/balance", {"Authorization": f"Bearer {body['apiKey']}"}).json()
    assert balance["createdAt"] == user["createdAt"]
    assert datetime.fromisoformat(balance["expiresAt"]).timestamp() * 1000 == pytest.approx(expiry)


def test_user_ttl_days_is_the_lifetime(limited: Api, valkey: Valkey) -> None:
    body = login(limited).json()
    for key in (f"user:{body['userId']}", f"apiKey:{body['apiKey']}"):
        assert 2 * DAY_MS - 10_000 < int(str(valkey.client.pttl(key))) <= 2 * DAY_MS


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"\xff", b"x" * 1000])
def test_a_body_is_neither_needed_nor_read(api: Api, body: bytes) -> None:
    reply = api.client.post(f"/{api.tenant_id}/auth/anonymous", content=body)
    assert reply.status_code == 200


def test_two_logins_are_two_users(api: Api) -> None:
    first, second = api.login(), api.login()
    assert first.user_id != second.user_id
    assert first.api_key != second.api_key
    first.charge(60)
    assert (first.balance()["tokensLeft"], second.balance()["tokensLeft"]) == (40, 100)


def test_without_the_tenant_there_is_no_login(client: httpx.Client) -> None:
    reply = login(Api(client, "nobody"))
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})


def test_logins_over_the_limit_are_429_until_the_oldest_is_a_minute_old(
    limited: Api, valkey: Valkey
) -> None:
    address = {"x-forwarded-for": "192.0.2.1"}
    assert statuses(limited, "192.0.2.1", PER_MINUTE) == [200] * PER_MINUTE
    refused = login(limited, **address)
    assert (refused.status_code, refused.json()) == (429, {"error": "Too Many Requests"})
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    key = f"tenant:{limited.tenant_id}:logins:192.0.2.1/32"
    # A second longer than the window, for a clock that goes back.
    assert 0 < int(str(valkey.client.pttl(key))) <= 61_000

    def age(ms: int) -> None:
        oldest = int(str(valkey.client.lindex(key, -1)))
        valkey.client.lset(key, -1, str(oldest - ms))

    age(50_000)
    refused = login(limited, **address)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    age(10_000)
    assert statuses(limited, "192.0.2.1", 2) == [200, 429]


def test_other_addresses_and_other_tenants_have_limits_of_their_own(limited: Api) -> None:
    assert statuses(limited, "192.0.2.1", PER_MINUTE + 1)[-1] == 429
    assert statuses(limited, "192.0.2.2", 1) == [200]
    assert statuses(Api.new_tenant(limited.client), "192.0.2.1", 1) == [200]


def test_a_client_cannot_choose_its_address(limited: Api) -> None:
    """What the proxy adds comes last; all before it is the client's own invention."""
    invented = [f"198.51.100.{number}, 192.0.2.1" for number in range(PER_MINUTE + 1)]
    assert [statuses(limited, text, 1) for text in invented][-1] == [429]
    for headers in (
        [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1")],
        [("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "198.51.100.9")],
        [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=198.51.100.9;secret=guess")],
    ):
        reply = limited.client.post(f"/{limited.tenant_id}/auth/anonymous", headers=headers)
        assert reply.status_code == 429


def test_a_forwarded_header_counts_with_the_secret(limited: Api, valkey: Valkey) -> None:
    def once(address: str) -> int:
        forwarded = f'for="{address}";secret={PROXY_SECRET}'
        return login(limited, forwarded=forwarded).status_code

    assert [once("192.0.2.7") for _ in range(PER_MINUTE + 1)] == [200] * PER_MINUTE + [429]
    assert once("[2001:db8::1]") == 200
    assert logins(valkey, limited) == ["192.0.2.7/32", "2001:db8::/64"]


def test_ipv6_addresses_of_one_64_are_one_client(limited: Api, valkey: Valkey) -> None:
    same = [f"2001:db8:1:2:{number:x}::{number}" for number in range(PER_MINUTE + 1)]
    assert [statuses(limited, address, 1)[0] for address in same] == [200] * PER_MINUTE + [429]
    assert statuses(limited, "2001:db8:1:3::1", 1) == [200]
    assert logins(valkey, limited) == ["2001:db8:1:2::/64", "2001:db8:1:3::/64"]


def test_an_ipv4_address_is_the_same_when_mapped_into_ipv6(limited: Api) -> None:
    assert statuses(limited, "192.0.2.5", PER_MINUTE) == [200] * PER_MINUTE
    assert statuses(limited, "::ffff:192.0.2.5", 1) == [429]


def test_all_workers_count_together(limited: Api) -> None:
    def once(_: int) -> int:
        return statuses(limited, "192.0.2.1", 1)[0]

    # Ten at once take ten connections, of which both workers get some.
    with ThreadPoolExecutor(10) as pool:
        found = sorted(pool.map(once, range(20)))
    assert found == [200] * PER_MINUTE + [429] * (20 - PER_MINUTE)


def test_without_a_declared_proxy_loopback_is_exempt_and_a_warning_says_so_once(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("undeclared") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, ANONYMOUS_LOGINS_PER_MINUTE="1") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        assert [login(api).status_code for _ in range(3)] == [200] * 3
        assert "[WARN]" not in server.text()
        assert statuses(api, "192.0.2.1", 3) == [200] * 3
        eventually(lambda: "[WARN]" in server.text())
    assert server.text().count("[WARN]") == 1
    assert "X-Forwarded-For" in server.text()
    assert logins(valkey, api) == []


async def test_a_user_is_not_made_twice(valkey: Valkey, api: Api) -> None:
    """IDs are random; were one given out again, it must not cost its user the balance."""
    user = api.login()
    assert user.charge(60).status_code == 200
    store = Store(valkey.url, 1)
    await store.start()
    names = [keys.user(user.user_id), keys.ledger(user.user_id)]
    with pytest.raises(ResponseError, match="user exists"):
        await store.run("login", names, api.tenant_id, "other", "anonymous", 100, 10, 60, 1, "{}")
    await store.close()
    assert user.balance()["tokensLeft"] == 40
