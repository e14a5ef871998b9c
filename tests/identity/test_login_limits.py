"""Logins are limited by the client's address and the networks around it, and by the tenant."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.crc import key_slot

from server.errors import TooManyRequests
from server.identity.logins import Ceilings, LoginLimits
from server.settings import Settings
from server.store.store import Store
from tests.api import Api, config
from tests.identity.logins import (
    PER_HOUR,
    PER_MINUTE,
    age,
    login,
    statuses,
    window_key,
    windows,
)
from tests.processes import Server, Valkey

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
ADDRESS = "192.0.2.1"
SITE, LARGEST_SITE = IPv6Network("2001:db8:2::/56"), IPv6Network("2001:db8:2::/48")
LARGEST_USER = 34_000
"""Bytes in Redis; tests/metering has the computation."""


def refused(api: Api, address: str) -> int:
    """The seconds until a login from there may be tried again."""
    reply = login(api, **{"x-forwarded-for": address})
    assert (reply.status_code, reply.json()) == (429, {"error": "Too Many Requests"})
    return int(reply.headers["retry-after"])


def test_logins_over_the_limit_are_429_until_the_oldest_is_a_minute_old(
    limited: Api, valkey: Valkey
) -> None:
    assert statuses(limited, ADDRESS, PER_MINUTE) == [200] * PER_MINUTE
    assert 50 <= refused(limited, ADDRESS) <= 60
    window = f"minute:{ADDRESS}/32"
    # A second longer than the window, for a clock that goes back.
    assert 0 < int(str(valkey.client.pttl(window_key(limited, window)))) <= 61_000
    age(valkey, limited, window, 50_000)
    assert 1 <= refused(limited, ADDRESS) <= 10
    age(valkey, limited, window, 10_000)
    assert statuses(limited, ADDRESS, 1) == [200]


def test_and_until_one_of_them_is_an_hour_old(limited: Api, valkey: Valkey) -> None:
    minute, hour = f"minute:{ADDRESS}/32", f"hour:{ADDRESS}/32"
    admitted = 0
    while admitted < PER_HOUR:
        admitted += statuses(limited, ADDRESS, 1) == [200]
        age(valkey, limited, minute, MINUTE_MS // 2)
    assert 3500 <= refused(limited, ADDRESS) <= 3600
    assert 0 < int(str(valkey.client.pttl(window_key(limited, hour)))) <= HOUR_MS + 1_000
    age(valkey, limited, minute, MINUTE_MS)
    assert 3500 <= refused(limited, ADDRESS) <= 3600
    age(valkey, limited, hour, HOUR_MS)
    assert statuses(limited, ADDRESS, 1) == [200]


def test_a_wait_is_for_all_windows(limited: Api, valkey: Valkey) -> None:
    """The minute is full as well as the hour: it is the hour that has to pass."""
    for _ in range(2):
        statuses(limited, ADDRESS, PER_MINUTE)
        age(valkey, limited, f"minute:{ADDRESS}/32", MINUTE_MS)
    age(valkey, limited, f"minute:{ADDRESS}/32", -MINUTE_MS)
    assert refused(limited, ADDRESS) >= 3500


def test_other_addresses_and_other_tenants_have_limits_of_their_own(limited: Api) -> None:
    assert statuses(limited, ADDRESS, PER_MINUTE + 1)[-1] == 429
    assert statuses(limited, "192.0.2.2", 1) == [200]
    assert statuses(Api.new_tenant(limited.client), ADDRESS, 1) == [200]


@pytest.mark.parametrize(("network", "times"), [(SITE, 4), (LARGEST_SITE, 10)])
def test_a_network_of_ipv6_has_a_few_times_the_limit_of_a_client(
    limited: Api, valkey: Valkey, network: IPv6Network, times: int
) -> None:
    # One of each smaller network, so that no other limit is reached before.
    smaller = network.subnets(new_prefix=64 if network.prefixlen == 56 else 56)
    addresses = (str(subnet[1]) for subnet in smaller)
    found = [statuses(limited, next(addresses), 1)[0] for _ in range(times * PER_HOUR)]
    assert set(found) == {200}
    counted = windows(valkey, limited)
    assert [refused(limited, next(addresses)) for _ in range(20)][-1] >= 3500
    assert windows(valkey, limited) == counted, "what is refused leaves nothing"
    beside = network.supernet(new_prefix=network.prefixlen - 1)[-1]
    assert statuses(limited, str(beside), 1) == [200]
    age(valkey, limited, f"hour:{network}", HOUR_MS)
    assert statuses(limited, next(addresses), 1) == [200]


def test_neighbours_of_an_ipv4_address_have_limits_of_their_own(limited: Api) -> None:
    found = [statuses(limited, f"192.0.2.{number}", 1)[0] for number in range(11 * PER_HOUR)]
    assert set(found) == {200}


def test_all_workers_count_together(limited: Api) -> None:
    def once(_: int) -> int:
        return statuses(limited, ADDRESS, 1)[0]

    # Ten at once take ten connections, of which both workers get some.
    with ThreadPoolExecutor(10) as pool:
        found = sorted(pool.map(once, range(20)))
    assert found == [200] * PER_MINUTE + [429] * (20 - PER_MINUTE)


def with_ceiling(client: httpx.Client, per_hour: int) -> Api:
    return Api.new_tenant(client, config() | {"limits": {"logins_per_hour": per_hour}})


def test_a_tenant_has_a_ceiling_whatever_the_addresses(
    behind_proxy: httpx.Client, valkey: Valkey
) -> None:
    api = with_ceiling(behind_proxy, 4)
    assert [statuses(api, f"192.0.2.{number}", 1)[0] for number in range(4)] == [200] * 4
    counted = windows(valkey, api)
    assert refused(api, "198.51.100.1") >= 3500
    assert windows(valkey, api) == counted
    api.put_config(config() | {"limits": {"logins_per_hour": 5}})
    assert statuses(api, "198.51.100.1", 2) == [200, 429]
    age(valkey, api, "hour", HOUR_MS)
    assert statuses(api, "198.51.100.1", 1) == [200]
    api.put_config(config())
    assert [statuses(api, f"198.51.100.{number}", 1)[0] for number in range(9)] == [200] * 9


def test_what_one_address_has_too_many_does_not_count_for_the_tenant(
    behind_proxy: httpx.Client,
) -> None:
    api = with_ceiling(behind_proxy, PER_MINUTE + 1)
    assert statuses(api, ADDRESS, 10) == [200] * PER_MINUTE + [429] * (10 - PER_MINUTE)
    assert statuses(api, "192.0.2.2", 2) == [200, 429]


def with_anonymous(client: httpx.Client, **members: object) -> Api:
    return Api.new_tenant(client, config() | {"auth": {"anonymous": members}})


def test_a_tenant_has_a_ceiling_for_a_day(behind_proxy: httpx.Client, valkey: Valkey) -> None:
    api = with_anonymous(behind_proxy, per_day=4)
    assert [statuses(api, f"192.0.2.{number}", 1)[0] for number in range(4)] == [200] * 4
    counted = windows(valkey, api)
    assert refused(api, "198.51.100.1") >= 86_300
    assert windows(valkey, api) == counted
    assert 0 < int(str(valkey.client.pttl(window_key(api, "day")))) <= DAY_MS + 1_000
    age(valkey, api, "day", DAY_MS - 30_000)
    assert 1 <= refused(api, "198.51.100.1") <= 30
    age(valkey, api, "day", 30_000)
    assert statuses(api, "198.51.100.1", 1) == [200]


def test_of_two_ceilings_the_longer_wait_is_told(behind_proxy: httpx.Client) -> None:
    value = config() | {"auth": {"anonymous": {"per_day": 1}}, "limits": {"logins_per_hour": 1}}
    api = Api.new_tenant(behind_proxy, value)
    assert statuses(api, ADDRESS, 1) == [200]
    assert refused(api, "198.51.100.1") >= 86_300


def test_anonymous_logins_may_be_switched_off(behind_proxy: httpx.Client, valkey: Valkey) -> None:
    api = with_anonymous(behind_proxy, enabled=False)
    reply = login(api, **{"x-forwarded-for": ADDRESS})
    assert (reply.status_code, reply.json()) == (404, {"error": "Login method not configured"})
    assert windows(valkey, api) == set()
    api.put_config(config())
    user = api.login()
    api.put_config(config() | {"auth": {"anonymous": {"enabled": False}}})
    assert user.charge().status_code == 200  # who is there stays


def test_the_ceiling_holds_for_loopback_too(client: httpx.Client) -> None:
    api = with_ceiling(client, 3)
    assert [login(api).status_code for _ in range(5)] == [200] * 3 + [429] * 2


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", True, 100_001])
def test_a_ceiling_is_a_number(api: Api, limit: Any) -> None:
    reply = api.put_config(config() | {"limits": {"logins_per_hour": limit}})
    assert reply.status_code == 422
    assert [detail["path"] for detail in reply.json()["details"]] == ["limits.logins_per_hour"]


@pytest.mark.parametrize(
    "origins",
    [
        *(["https://other.example"], ["null"], [""], ["https://app.example.evil.example"]),
        ["https://app.example", "https://other.example"],
    ],
)
def test_a_page_of_another_origin_neither_logs_in_nor_uses_up_a_limit(
    behind_proxy: httpx.Client, valkey: Valkey, origins: list[str]
) -> None:
    limits = {"allowed_origins": ["https://app.example"], "limits": {"logins_per_hour": 1}}
    api = Api.new_tenant(behind_proxy, config() | limits)
    path = f"/{api.tenant_id}/auth/anonymous"
    of_page = [("x-forwarded-for", ADDRESS), *(("origin", origin) for origin in origins)]
    users = set(valkey.client.scan_iter("user:*", count=1000))
    reply = api.client.post(path, headers=of_page)
    assert (reply.status_code, reply.json()) == (403, {"error": "Origin not allowed"})
    assert set(valkey.client.scan_iter("user:*", count=1000)) == users
    assert windows(valkey, api) == set()
    assert login(api, origin="https://app.example").status_code == 200


def test_who_sends_no_origin_logs_in(behind_proxy: httpx.Client) -> None:
    api = Api.new_tenant(behind_proxy, config() | {"allowed_origins": ["https://app.example"]})
    assert statuses(api, ADDRESS, 1) == [200]


def test_zero_is_no_limit(valkey: Valkey, tmp_path: Path) -> None:
    settings = {"ANONYMOUS_LOGINS_PER_MINUTE": "0", "ANONYMOUS_LOGINS_PER_HOUR": "0"}
    settings |= {"REDIS_URL": valkey.url, "PROXIES_COUNT": "1"}
    with (
        Server(tmp_path / "out", wait=True, **settings) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        assert statuses(api, ADDRESS, 70) == [200] * 70
        assert windows(valkey, api) == set()


@pytest.fixture
async def limits(valkey: Valkey) -> AsyncIterator[LoginLimits]:
    """Those of a server with no settings of its own."""
    store, settings = Store(valkey.url, 1), Settings()
    await store.start()
    yield LoginLimits(
        store,
        settings.anonymous_logins_per_minute,
        settings.anonymous_logins_per_hour,
        settings.logins_per_minute,
    )
    await store.close()


@pytest.mark.parametrize(
    ("networks", "admitted", "megabytes"),
    [([ip_network(ADDRESS)] * 100, 30, 25), (list(LARGEST_SITE.subnets(16))[::64], 300, 250)],
)
async def test_what_an_attacker_may_cost_in_a_day(
    limits: LoginLimits,
    valkey: Valkey,
    api: Api,
    networks: list[Any],
    admitted: int,
    megabytes: int,
) -> None:
    """By the defaults; each login is a user, which may be as large as it can be."""
    users = 0
    for network in networks:
        with suppress(TooManyRequests):
            await limits.count(api.tenant_id, Ceilings(0, 0), network)
            users += 1
    assert users == admitted
    assert 24 * users * LARGEST_USER <= megabytes * 1_000_000
    counters = [window_key(api, window) for window in windows(valkey, api)]
    size = sum(int(str(valkey.client.memory_usage(key))) for key in counters)
    assert size <= 300 * users
    assert len({key_slot(key.encode()) for key in counters}) == 1
