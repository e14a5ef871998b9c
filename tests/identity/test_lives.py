"""How long users live: a day, until they spend; then as long as their key. Tokens are for ever."""

from collections.abc import Callable

import httpx
import pytest

from tests.api import Api, User
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink
from tests.stored import ledger_key, left_ms, put, rate_key, record, user_key

DAY_MS = 86_400_000
SLACK_MS = 20_000


def days_left(valkey: Valkey, user: User) -> list[float]:
    """Of the user, its ledger and its key; -1: permanent."""
    names = (user_key(user), ledger_key(user), f"apiKey:{user.api_key}")
    found = [left_ms(valkey, name) for name in names]
    return [ms if ms < 0 else (ms + SLACK_MS) // DAY_MS for ms in found]


SPENT: dict[str, Callable[[User], object]] = {
    "charge": lambda user: user.charge(),
    "keyed charge": lambda user: user.charge(1, **{"Idempotency-Key": "a"}),
    "hold": lambda user: user.hold({"tokens": 1}),
}
NOTHING: dict[str, Callable[[User], object]] = {
    "login": lambda user: None,
    "refused charge": lambda user: user.charge(101),
    "refused hold": lambda user: user.hold({"tokens": 101}),
    "balance": User.balance,
    "ledger": User.ledger,
    "unknown hold": lambda user: user.settle("0" * 32, 5),
    "move": lambda user: user.grant({"group": "anonymous"}),
}


@pytest.mark.parametrize("name", SPENT)
def test_who_spends_stays(api: Api, valkey: Valkey, name: str) -> None:
    user = api.login()
    SPENT[name](user)
    assert days_left(valkey, user) == [30, 30, 30]
    expiries = {valkey.client.pexpiretime(key) for key in (user_key(user), ledger_key(user))}
    assert expiries == {valkey.client.pexpiretime(f"apiKey:{user.api_key}")}
    assert "keyExpiresAt" not in record(valkey, user)


@pytest.mark.parametrize("name", NOTHING)
def test_who_does_not_lives_for_a_day(api: Api, valkey: Valkey, name: str) -> None:
    user = api.login()
    NOTHING[name](user)
    assert days_left(valkey, user) == [1, 1, 30]
    assert user.charge().status_code == 200
    assert days_left(valkey, user) == [30, 30, 30]


@pytest.mark.parametrize("has_spent", [False, True])
def test_who_is_given_tokens_is_permanent(api: Api, valkey: Valkey, has_spent: bool) -> None:
    user = api.login()
    if has_spent:
        user.charge(7)
    assert user.grant({"tokens": 5}).status_code == 200
    assert days_left(valkey, user) == [-1, -1, -1]
    assert user.balance()["expiresAt"] is None
    valkey.client.delete(rate_key(user))
    for _ in range(16):  # it is asked now and then when it expires
        assert user.charge().status_code == 200
    assert days_left(valkey, user) == [-1, -1, -1]
    assert audit(valkey, api).returncode == 0


def test_who_has_granted_tokens_stays_permanent_in_whatever_group(api: Api, valkey: Valkey) -> None:
    user = api.login()
    user.grant({"tokens": 5})
    for group in ("paid", "anonymous"):
        user.grant({"group": group})
        assert days_left(valkey, user) == [-1, -1, -1]
    assert user.charge(105).status_code == 200
    user.grant({"group": "anonymous"})
    assert days_left(valkey, user) == [30, 30, 30]


def test_who_becomes_permanent_has_no_end_whatever_comes(api: Api, valkey: Valkey) -> None:
    user = api.login().become_permanent()
    user.charge()
    assert days_left(valkey, user) == [-1, -1, -1]
    user.grant({"group": "anonymous"})
    user.charge()
    assert days_left(valkey, user) == [30, 30, 30]


def test_where_keys_live_for_a_day_users_do_too(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("one-day") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, USER_TTL_DAYS="1") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        user = Api.new_tenant(client).login()
        for _ in range(2):
            assert days_left(valkey, user) == [1, 1, 1]
            user.charge()


def test_of_a_login_that_fails_a_key_is_left_that_opens_nothing(
    held_up: Api, link: RedisLink, valkey: Valkey
) -> None:
    before = {str(key) for key in valkey.client.scan_iter("apiKey:*", count=1000)}
    link.hold(containing=b"anonymous")
    assert held_up.post("/auth/anonymous").status_code == 503
    [key] = {str(key) for key in valkey.client.scan_iter("apiKey:*", count=1000)} - before
    assert 29 * DAY_MS < left_ms(valkey, key) <= 30 * DAY_MS
    user_id = str(valkey.client.get(key))
    assert not valkey.client.exists(f"user:{user_id}")
    link.release()
    eventually(lambda: held_up.client.get("/readyz").status_code == 200)
    # As if it had never come there.
    valkey.client.delete(f"user:{user_id}", f"{{user:{user_id}}}:ledger")
    headers = {"X-API-Key": key.removeprefix("apiKey:")}
    assert held_up.post("/charges", {}, headers).status_code == 401
    assert audit(valkey, held_up).returncode == 0


def test_a_revoke_that_failed_half_way_is_completed_by_the_next(
    held_up: Api, link: RedisLink, valkey: Valkey
) -> None:
    user = held_up.login().become_permanent()
    key = f"apiKey:{user.api_key}"
    stored = record(valkey, user)
    put(valkey, user, stored | {"apiKeys": {}})
    assert valkey.client.exists(key)
    assert audit(valkey, held_up).returncode == 0
    assert held_up.revoke(user.api_key).status_code == 204
    assert not valkey.client.exists(key)
    assert held_up.revoke(user.api_key).status_code == 404


def test_no_tenant_revokes_anothers_key(api: Api, client: httpx.Client, valkey: Valkey) -> None:
    user = api.login()
    put(valkey, user, record(valkey, user) | {"apiKeys": {}})
    assert Api.new_tenant(client).revoke(user.api_key).status_code == 404
    assert valkey.client.exists(f"apiKey:{user.api_key}")


@pytest.mark.parametrize("group", ["paid", "anonymous"])
def test_a_move_beside_a_revoke_brings_no_key_back(
    held_up: Api, link: RedisLink, valkey: Valkey, api: Api, group: str
) -> None:
    """The move's script has run, and named the key that is revoked before the rest comes."""
    user = held_up.login().become_permanent()
    key = f"apiKey:{user.api_key}"
    link.hold(containing=f"${len(key)}\r\n{key}".encode())
    assert user.grant({"group": group}).status_code == 503
    valkey.client.delete(key)
    link.release()
    # There are two connections, and the one that this is about need not be back with the other.
    eventually(lambda: user.grant({"group": group}).status_code == 200)
    assert not valkey.client.exists(key)


def test_a_grant_whose_server_dies_half_way_leaves_no_user_that_outlives_its_key(
    held_up: Api, link: RedisLink, valkey: Valkey
) -> None:
    """Stopped after its first look at the user, and after the key, which is the first to change."""
    for steps, ends in ((1, [30, 30, 30]), (2, [30, 30, -1])):
        user = held_up.login()
        user.charge()
        link.hold(containing=b"}:once")
        for _ in range(steps):
            link.let_one_through()
        assert user.grant({"tokens": 5}).status_code == 503
        assert days_left(valkey, user) == ends
        link.release()
        # Both connections are back: what is said on them then would be let through, too.
        eventually(lambda user=user: user.grant({"tokens": 5}).status_code == 200)  # type: ignore[misc]
