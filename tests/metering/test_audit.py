"""`python -m server audit`: finds nothing where nothing is wrong, and each way to be wrong."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api import Api, User
from tests.processes import ROOT, Server, Valkey
from tests.stored import (
    keys_key,
    ledger_key,
    now_ms,
    once_key,
    put,
    rate_key,
    record,
    settles_key,
    user_key,
)


def audit(valkey: Valkey, api: Api) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "audit", "--tenant", api.tenant_id]
    env = {"REDIS_URL": valkey.url}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Of this file's own: the audits of other tests must not find its faults, and its own need
    not look at their users."""
    with Valkey(tmp_path_factory.mktemp("audited")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("audited") / "out"
    with Server(output, REDIS_URL=valkey.url) as server:
        yield server


def busy_user(api: Api) -> User:
    """One with a ledger of five entries: [grant, charge, hold, hold, settle]."""
    user = api.login()
    user.charge(7)
    user.hold({"tokens": 20})
    user.settle(user.hold({"tokens": 10}).json()["holdId"], 4)
    return user


def test_nothing_is_found_where_nothing_is_wrong(api: Api, valkey: Valkey) -> None:
    users = [busy_user(api) for _ in range(3)]
    users[1].grant({"group": "paid"})
    users[2].grant({"tokens": 5})
    users[2].settle(users[2].hold({"tokens": 5}).json()["holdId"], 1_000)
    api.revoke(users[0].api_key)
    users.append(api.login())
    for deadline_ms in (1, now_ms(valkey) + 600_000):  # one is past, and its record gone
        lasting(deadline_ms)(valkey, busy_user(api))
    valkey.client.pexpire(f"apiKey:{users[1].api_key}", 1)
    lasting(1)(valkey, users[1])
    valkey.client.persist(f"apiKey:{api.login().api_key}")
    other = busy_user(Api.new_tenant(api.client))
    of_another_type(ledger_key)(valkey, other)
    valkey.client.hset("user:1", "of", "another program")
    clean = audit(valkey, api)
    assert (clean.returncode, clean.stdout) == (0, "audit: 7 users checked, 0 broken\n"), clean


def change(**values: object) -> Callable[[Valkey, User], None]:
    """Members of the record."""
    return lambda valkey, user: put(valkey, user, record(valkey, user) | values)


def change_entry(index: int, member: int, value: object) -> Callable[[Valkey, User], None]:
    """A member of an entry of the ledger, the newest first."""

    def make(valkey: Valkey, user: User) -> None:
        entry: list[Any] = json.loads(str(valkey.client.lindex(ledger_key(user), index)))
        entry[member] = value
        valkey.client.lset(ledger_key(user), index, json.dumps(entry))

    return make


def of_another(valkey: Valkey, user: User) -> None:
    valkey.client.set(f"apiKey:{user.api_key}", "another-user", keepttl=True)


def lasting(deadline_ms: float) -> Callable[[Valkey, User], None]:
    return lambda valkey, user: change(apiKeys={user.api_key: deadline_ms})(valkey, user)


def all_of(*changes: Callable[[Valkey, User], object]) -> Callable[[Valkey, User], None]:
    def make(valkey: Valkey, user: User) -> None:
        for one in changes:
            one(valkey, user)

    return make


def of_another_type(key: Callable[[User], str]) -> Callable[[Valkey, User], None]:
    def make(valkey: Valkey, user: User) -> None:
        valkey.client.delete(key(user))
        valkey.client.geoadd(key(user), (1, 1, "a"))

    return make


def of_restricted(fields: dict[str, str]) -> Callable[[Valkey, User], None]:
    def make(valkey: Valkey, user: User) -> None:
        valkey.client.hset(keys_key(user), mapping=fields)  # type: ignore[arg-type]
        valkey.client.expire(keys_key(user), 60)

    return make


NUMBER, TOKENS = 0, 3
RESTRICTED = json.dumps({"digest": "0" * 32, "maker": "temp_", "tokens": 5})
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
EXPIRY = "the ledger expires at another time than the user"
# Of a user that has 69 tokens left, 20 held and 11 used.
FAULTS: dict[str, tuple[Callable[[Valkey, User], object], list[str]]] = {
    "tokens too many": (
        change(tokensLeft=70),
        [
            "granted 100 is not left 70 + held 20 + used 11",
            "newest entry leaves 69, the user has 70",
        ],
    ),
    "a negative balance": (
        change(tokensLeft=-1, tokensUsed=81),
        ["tokensLeft is -1", "newest entry leaves 69, the user has -1"],
    ),
    "a broken count": (change(overrun=10**13 + 1), [f"overrun is {10**13 + 1}"]),
    "a count of another type": (change(overrun=True), ["overrun is True"]),
    "no ledger": (
        lambda valkey, user: valkey.client.delete(ledger_key(user)),
        ["no ledger", EXPIRY],
    ),
    "a lost newest entry": (
        lambda valkey, user: valkey.client.lpop(ledger_key(user)),
        ["newest entry is 4, the user counts 5", "newest entry leaves 63, the user has 69"],
    ),
    "a gap": (
        lambda valkey, user: valkey.client.lrem(
            ledger_key(user), 1, str(valkey.client.lindex(ledger_key(user), 2))
        ),
        ["entry 4 follows 2", "entry 4 does not add up"],
    ),
    "a wrong number": (
        change_entry(4, NUMBER, 0),
        ["entry 2 follows 0"],
    ),
    "a wrong change": (change_entry(1, TOKENS, -11), ["entry 4 does not add up"]),
    "a wrong start": (change_entry(4, TOKENS, 99), ["the first entry does not start from 0"]),
    "a key of another": (of_another, ["API key 1 is not its own"]),
    "a lost key": (
        lambda valkey, user: valkey.client.delete(f"apiKey:{user.api_key}"),
        ["API key 1 is not its own"],
    ),
    "a key that expires early": (
        lambda valkey, user: valkey.client.pexpireat(
            f"apiKey:{user.api_key}", now_ms(valkey) + 3_600_000
        ),
        ["API key 1 expires before the user"],
    ),
    "a permanent ledger": (
        lambda valkey, user: valkey.client.persist(ledger_key(user)),
        [EXPIRY],
    ),
    "restricted keys that never expire": (
        lambda valkey, user: valkey.client.hset(keys_key(user), "0" * 16, RESTRICTED),
        ["the restricted keys never expire"],
    ),
    "a restricted key that has spent less than nothing": (
        of_restricted({"0" * 16: RESTRICTED, "0" * 16 + ":spent": "-1"}),
        [f"restricted key {'0' * 16} has spent -1 of 5"],
    ),
    "a restricted key of another": (
        of_restricted({"1" * 16: RESTRICTED}),
        [f"restricted key {'1' * 16} is not its own"],
    ),
    "what a restricted key had spent": (
        of_restricted({"1" * 16 + ":spent": "5"}),
        [f"{'1' * 16}:spent is of no restricted key"],
    ),
    "a restricted key that is none": (
        of_restricted({"0" * 16: "5"}),
        ["unreadable: TypeError"],
    ),
    "a hold of a restricted key over HTTP": (
        lambda valkey, user: put(
            valkey,
            user,
            record(valkey, user) | {"holds": {"00": [20, now_ms(valkey), "api", "0" * 16]}},
        ),
        [f"a hold of the restricted key '{'0' * 16}'"],
    ),
    "extra tokens below 0": (change(extra=-1), ["extra is -1"]),
    "extra tokens that are a fraction": (change(extra=0.5), ["extra is 0.5"]),
    "extra tokens that are null": (change(extra=None), ["extra is None"]),
    "a key that lasts for a fraction": (lasting(0.5), ["API key 1 lasts until 0.5"]),
    "a key with a deadline to come, and lost": (
        all_of(
            lasting(9_000_000_000_000),
            lambda valkey, user: valkey.client.delete(f"apiKey:{user.api_key}"),
        ),
        ["API key 1 is not its own"],
    ),
    "a key that is past its deadline, and another's": (
        all_of(lasting(1), of_another),
        ["API key 1 is not its own"],
    ),
    "a key that expires before its deadline": (
        all_of(
            lasting(9_000_000_000_000),
            lambda valkey, user: valkey.client.pexpire(f"apiKey:{user.api_key}", 3_600_000),
        ),
        ["API key 1 expires before the user"],
    ),
    "a temporary user of a permanent group": (
        change(group="paid"),
        ["of group paid, and temporary"],
    ),
    **{
        f"another type: {what}": (of_another_type(key), [f"unreadable: {WRONG_TYPE}"])
        for what, key in {
            "user": user_key,
            "ledger": ledger_key,
            "rate": rate_key,
            "once": once_key,
            "settles": settles_key,
            "restricted keys": keys_key,
            "key": lambda user: f"apiKey:{user.api_key}",
        }.items()
    },
    "a key that is not text": (
        lambda valkey, user: valkey.client.set(f"apiKey:{user.api_key}", b"\xff"),
        ["unreadable: UnicodeDecodeError"],
    ),
    "no object": (
        lambda valkey, user: valkey.client.set(user_key(user), "5"),
        ["unreadable: TypeError"],
    ),
    "no number": (change(tokensLeft=None), ["unreadable: TypeError"]),
    "a hold of nothing": (change(holds={"00": []}), ["unreadable: IndexError"]),
    "a name that begins a line": (
        change(group="paid\nuser:another: broken"),
        [r"of group paid\nuser:another: broken, and temporary"],
    ),
    "no holds": (change(holds=[5]), ["unreadable: AttributeError"]),
    "no count": (
        lambda valkey, user: put(valkey, user, {"tenantId": user.api.tenant_id}),
        ["unreadable: KeyError"],
    ),
    "no entry": (
        lambda valkey, user: valkey.client.lset(ledger_key(user), 0, "x"),
        ["unreadable: JSONDecodeError"],
    ),
}


def test_each_fault_is_found(api: Api, valkey: Valkey) -> None:
    users = {name: busy_user(api) for name in FAULTS}
    sound = busy_user(api)
    for name, (make, _) in FAULTS.items():
        make(valkey, users[name])
    broken = audit(valkey, api)
    *lines, verdict = broken.stdout.splitlines()
    assert broken.returncode == 1
    total = len(FAULTS)
    assert verdict == f"audit: {total + 1} users checked, {total} broken"
    found = dict(line.removeprefix("user:").split(": ", 1) for line in lines)
    assert sound.user_id not in found
    for name, (_, faults) in FAULTS.items():
        # An exception's text is Python's.
        assert found[users[name].user_id].partition("(")[0] == "; ".join(faults), name
    for user in users.values():
        assert user.api_key not in broken.stdout + broken.stderr, "it is a secret"
