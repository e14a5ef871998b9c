"""Temporary users live as long as they are used, and never longer than their keys."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.api import ADMIN, Api, User
from tests.callers import Load
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink
from tests.stored import age, ledger_key, left_ms, now_ms, put, record, user_key

DAY_MS = 86_400_000
SLACK_MS = 20_000


def days_left(valkey: Valkey, user: User) -> list[float]:
    """Of the user, its ledger and its key; -1: permanent."""
    names = (user_key(user), ledger_key(user), f"apiKey:{user.api_key}")
    found = [left_ms(valkey, name) for name in names]
    return [ms if ms < 0 else (ms + SLACK_MS) // DAY_MS for ms in found]


def spender(api: Api) -> User:
    user = api.login()
    assert user.charge().status_code == 200
    return user


def look(user: User) -> None:
    """Takes longer than a renewal that one of the requests before it has begun."""
    for _ in range(5):
        user.ledger()


USES: dict[str, Callable[[User], object]] = {
    "charge": User.charge,
    "keyed charge": lambda user: user.charge(1, **{"Idempotency-Key": uuid4().hex}),
    "hold": lambda user: user.hold({"tokens": 1}),
    "balance": User.balance,
}


@pytest.mark.parametrize("name", USES)
def test_who_uses_it_lives_on(api: Api, valkey: Valkey, name: str) -> None:
    user = spender(api)
    for days in (19, 1):
        age(valkey, user, days * DAY_MS)
        USES[name](user)
        eventually(lambda: days_left(valkey, user) == [30, 30, 30])
    expiries = {valkey.client.pexpiretime(key) for key in (user_key(user), ledger_key(user))}
    assert expiries == {valkey.client.pexpiretime(f"apiKey:{user.api_key}")}
    assert user.charge().status_code == 200


def test_without_a_pause_it_is_found_within_16_requests(api: Api, valkey: Valkey) -> None:
    user = spender(api)
    age(valkey, user, 21 * DAY_MS)
    user.charge()
    for key in (user_key(user), ledger_key(user), f"apiKey:{user.api_key}"):
        valkey.client.pexpire(key, 5 * DAY_MS)
    for _ in range(16):
        user.charge()
    eventually(lambda: days_left(valkey, user) == [30, 30, 30])


UNUSED: dict[str, Callable[[User], object]] = {
    "administrator": lambda user: user.api.get(f"/admin/users/{user.user_id}", ADMIN),
    "move": lambda user: user.grant({"group": "anonymous"}),
    "restricted key": lambda user: user.restricted(tokens=5).balance(),
    "wrong key": lambda user: user.api.get("/balance", {"X-API-Key": "temp_of-nobody"}),
}


@pytest.mark.parametrize("name", UNUSED)
def test_nothing_else_prolongs_its_life(api: Api, valkey: Valkey, name: str) -> None:
    user = spender(api)
    age(valkey, user, 5 * DAY_MS)
    UNUSED[name](user)
    look(user)
    assert days_left(valkey, user) == [5, 5, 5]


def test_within_a_third_of_the_time_nothing_is_written(api: Api, valkey: Valkey) -> None:
    user = spender(api)
    age(valkey, user, 20 * DAY_MS + SLACK_MS)
    expiry = valkey.client.pexpiretime(user_key(user))
    for use in USES.values():
        use(user)
    look(user)
    assert valkey.client.pexpiretime(user_key(user)) == expiry


def test_who_has_never_spent_lives_for_a_day_whoever_looks(api: Api, valkey: Valkey) -> None:
    user = api.login()
    for _ in range(3):
        user.balance()
    look(user)
    assert days_left(valkey, user) == [1, 1, 30]


def test_all_of_its_keys_live_as_long_but_those_with_a_deadline(api: Api, valkey: Valkey) -> None:
    user = spender(api)
    deadline_ms = now_ms(valkey) + 300_000
    others = {"key_other": True, "key_without_record": True, "key_rotated": deadline_ms}
    stored = record(valkey, user)
    put(valkey, user, stored | {"apiKeys": stored["apiKeys"] | others | {"key_past": 1}})
    for name in ("key_other", "key_rotated"):
        valkey.client.set(f"apiKey:{name}", user.user_id, pxat=deadline_ms)
    age(valkey, user, DAY_MS)
    user.charge()
    eventually(lambda: days_left(valkey, user) == [30, 30, 30])
    lives = valkey.client.pexpiretime(f"apiKey:{user.api_key}")
    assert valkey.client.pexpiretime("apiKey:key_other") == lives
    assert valkey.client.pexpiretime("apiKey:key_rotated") == deadline_ms
    assert not valkey.client.exists("apiKey:key_without_record")
    assert record(valkey, user)["apiKeys"] == stored["apiKeys"] | others


async def test_many_requests_at_once_renew_it(api: Api, server: Server, valkey: Valkey) -> None:
    users = [spender(api) for _ in range(5)]
    for user in users:
        age(valkey, user, DAY_MS)
    async with Load(server.url) as load:
        for _ in range(3):
            for user in users:
                await load.charge(user)
    for user in users:
        eventually(lambda user=user: days_left(valkey, user) == [30, 30, 30])  # type: ignore[misc]
    assert audit(valkey, api).returncode == 0


def test_the_key_is_first_and_what_a_dead_worker_left_is_done_by_the_next_use(
    held_up: Api, api: Api, link: RedisLink, valkey: Valkey
) -> None:
    """As after a worker that died: what it had not sent yet never comes."""
    user = spender(held_up)
    age(valkey, user, 3 * DAY_MS)
    link.hold(containing=b"PEXPIREAT")
    user.charge()
    eventually(link.is_waiting)
    assert days_left(valkey, user) == [3, 3, 3]
    link.let_one_through()
    eventually(lambda: days_left(valkey, user) == [3, 3, 30])
    # Another server finds it so.
    login = {"apiKey": user.api_key, "userId": user.user_id}
    elsewhere = User(Api(api.client, held_up.tenant_id), login)
    valkey.client.delete(f"{{user:{user.user_id}}}:rate")
    elsewhere.charge()
    eventually(lambda: days_left(valkey, user) == [30, 30, 30])


@pytest.mark.parametrize("group", ["paid", "anonymous"])
def test_who_is_moved_meanwhile_keeps_what_that_made_of_it(
    held_up: Api, api: Api, link: RedisLink, valkey: Valkey, group: str
) -> None:
    """To no end, or to one that is later, whatever the renewal still sends."""
    user = spender(held_up)
    age(valkey, user, 3 * DAY_MS)
    link.hold(containing=b"PEXPIREAT")
    user.charge()
    eventually(link.has_stopped)
    path = f"/{held_up.tenant_id}/admin/users/{user.user_id}/grants"
    for name in ("paid", group):
        moved = api.client.post(path, json={"group": name}, headers=ADMIN)
        assert moved.status_code == 200
    expiry = valkey.client.pexpiretime(user_key(user))
    link.release()
    eventually(lambda: held_up.client.get("/readyz").status_code == 200)
    user.balance()
    look(user)
    assert valkey.client.pexpiretime(user_key(user)) == expiry
    assert days_left(valkey, user) == ([-1, -1, -1] if group == "paid" else [30, 30, 30])
