"""What another program has stored in place of a user or a config: 503 for its owner, and for nobody
else; nothing is written."""

import asyncio

import httpx
import pytest

from server.store import keys
from tests.api import ADMIN, Api, User, config
from tests.callers import Load
from tests.processes import Server, Valkey
from tests.store.broken.changes import (
    Change,
    all_of,
    expires_at,
    kept_as_json,
    member,
    newest_entry,
    of_type,
    owner_is,
    text,
)
from tests.stored import (
    ledger_key,
    now_ms,
    once_key,
    put,
    rate_key,
    record,
    settles_key,
    user_key,
)

METERED = ("charge", "hold")
KEY = {"Idempotency-Key": "one"}


def expired_hold(valkey: Valkey, user: User) -> None:
    """It would go back, were it not for the rest."""
    stored = record(valkey, user)
    stored["holds"] = {"0" * 32: [9, 1, "own"], "1" * 32: [True, now_ms(valkey), "api"]}
    put(valkey, user, stored)


BROKEN: dict[str, Change] = {
    "ledger is a set": of_type("set", ledger_key),
    "ledger is a string": of_type("string", ledger_key),
    "user is a hash": of_type("hash", user_key),
    "key is a hash": of_type("hash", lambda user: f"apiKey:{user.api_key}"),
    "key is not UTF-8": owner_is(b"\xff\xfe"),
    "once is a set": of_type("set", once_key),
    "once is a string": of_type("string", once_key),
    "rate is a hash": of_type("hash", rate_key),
    "rate has no times": lambda valkey, user: valkey.client.lpush(rate_key(user), "nan"),
    "kept reply is odd": lambda valkey, user: valkey.client.hset(
        once_key(user), mapping={keys.once_fields(op, "one")[0]: "odd" * 9 for op in METERED}
    ),
    "reply kept as JSON is text": kept_as_json('"odd"'),
    "reply kept as JSON is empty": kept_as_json("{}"),
    "reply kept as JSON has odd parts": kept_as_json('["odd", ["00", 5, 5]]'),
    "user is not JSON": text("{"),
    "user is not UTF-8": text(b"\xff"),
    "user is a number": text("5"),
    "user is null": text("null"),
    "user is a string": text('"user"'),
    "user is an array": text("[]"),
    "user is empty": text("{}"),
    "tenant is a number": member("tenantId", "5"),
    "NaN": member("mine", "NaN"),
    "deep NaN": member("mine", '{"a": [1, -nan]}'),
    "Infinity": member("mine", "Infinity"),
    "1e999": member("overrun", "1e999"),
    "balance is NaN": member("tokensLeft", "NaN"),
    "balance is text": member("tokensLeft", '"100"'),
    "balance is null": member("tokensLeft", "null"),
    "balance is a fraction": member("tokensLeft", "0.5"),
    "balance is below 0": member("tokensLeft", "-5"),
    "balance is too large": member("tokensLeft", "10000000000001"),
    "count is an object": member("entries", "{}"),
    "limit is true": member("rateLimit", "true"),
    "window is text": member("rateLimitWindow", '"60"'),
    "group is null": member("group", "null"),
    "keys are a number": member("apiKeys", "5"),
    "holds are null": member("holds", "null"),
    "hold is a number": member("holds", "[5]"),
    "hold is short": member("holds", '{"00": [1]}'),
    "hold of a hold that is odd": expired_hold,
    "life is text": member("keyExpiresAt", '"x"'),
    "life is false": member("keyExpiresAt", "false"),
    "returned is a number": lambda valkey, user: put(
        valkey,
        user,
        record(valkey, user) | {"returned": 5, "holds": {"0" * 32: [9, 1, "own"]}},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_user_is_503_and_nothing_is_written(
    api: Api, server: Server, valkey: Valkey, name: str
) -> None:
    user, neighbour = api.login(), api.login()
    BROKEN[name](valkey, user)
    before = all_of(valkey, user)
    for reply in (user.charge(5, **KEY), user.hold({"tokens": 5}, **KEY)):
        assert (reply.status_code, reply.json()) == (503, {"error": "Service Unavailable"})
        assert reply.headers["retry-after"] == "1"
        request_id = reply.headers["x-request-id"]
        told = [line for line in server.text().splitlines() if request_id in line]
        assert len(told) == 1, told
        assert told[0].startswith("[ERROR] ")
    assert all_of(valkey, user) == before
    assert neighbour.charge().json() == {"tokensLeft": 99}
    assert "Traceback" not in server.text()
    assert user.api_key not in server.text(), "it is a secret"


READS = {
    "balance": (member("group", "null"), lambda user: user.api.get("/balance", user.headers)),
    "ledger": (newest_entry("{"), lambda user: user.api.get("/ledger", user.headers)),
    "short ledger": (newest_entry("[1]"), lambda user: user.api.get("/ledger", user.headers)),
    "ledger of text": (
        newest_entry('"abcdef"'),
        lambda user: user.api.get("/ledger", user.headers),
    ),
    "ledger of no time": (
        newest_entry('[1, 1e30, "grant", 100, 100, {}]'),
        lambda user: user.api.get("/ledger", user.headers),
    ),
    "balance for ever": (
        expires_at(10**15),
        lambda user: user.api.get("/balance", user.headers),
    ),
    "administrator for ever": (
        expires_at(10**15),
        lambda user: user.api.get(f"/admin/users/{user.user_id}", ADMIN),
    ),
    "grant kept as JSON": (
        kept_as_json('[5, {"err": "odd"}]'),
        lambda user: user.grant({"tokens": 5}, **KEY),
    ),
    "administrator": (
        of_type("hash", user_key),
        lambda user: user.api.get(f"/admin/users/{user.user_id}", ADMIN),
    ),
    "grant": (of_type("hash", ledger_key), lambda user: user.grant({"tokens": 5})),
    "move": (member("createdAt", "5"), lambda user: user.grant({"group": "paid"})),
    "grant to listed keys": (
        member("apiKeys", '["..."]'),
        lambda user: user.grant({"tokens": 5}),
    ),
    "move of listed keys": (member("apiKeys", "[[]]"), lambda user: user.grant({"group": "paid"})),
    "revoke": (of_type("set", user_key), lambda user: user.api.revoke(user.api_key)),
}


@pytest.mark.parametrize("name", READS)
def test_whoever_asks_for_it(api: Api, server: Server, valkey: Valkey, name: str) -> None:
    user = api.login()
    change, ask = READS[name]
    change(valkey, user)
    before = all_of(valkey, user)
    assert ask(user).status_code == 503
    assert all_of(valkey, user) == before
    assert "Traceback" not in server.text()


def test_a_settle_writes_all_or_nothing(api: Api, valkey: Valkey) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 50}).json()["holdId"]
    valkey.client.sadd(settles_key(user), "a")
    before = all_of(valkey, user)
    assert user.settle(hold_id, 5).status_code == 503
    assert all_of(valkey, user) == before
    valkey.client.delete(settles_key(user))
    assert user.settle(hold_id, 5).json() == {"tokens": 5, "tokensLeft": 95}


@pytest.mark.parametrize("hold", ["5", '"text"', "[]", "{}", '["5", 1, "api"]'])
def test_a_settle_of_a_broken_hold(api: Api, valkey: Valkey, server: Server, hold: str) -> None:
    """Where the tenant has a limit, what was held is read first."""
    for limits in ({}, {"tokens_per_day": 1_000}):
        assert api.put_config(config() | {"limits": limits}).status_code == 200
        user = api.login()
        hold_id = user.hold({"tokens": 50}).json()["holdId"]
        member("holds", f'{{"{hold_id}": {hold}}}')(valkey, user)
        before = all_of(valkey, user)
        assert user.settle(hold_id, 5).status_code == 503
        assert all_of(valkey, user) == before
    assert "Traceback" not in server.text()


async def test_neighbours_in_a_flush_are_served(api: Api, server: Server, valkey: Valkey) -> None:
    broken, sound = api.login(), api.login()
    of_type("set", ledger_key)(valkey, broken)
    async with Load(server.url) as load:
        asked = [load.charge(user) for user in (broken, sound) * 50]
        answers = await asyncio.gather(*asked)
    assert [answer.status for answer in answers] == [503, 200] * 50
    assert sound.balance()["tokensLeft"] == 50


TYPES = {"set": ("sadd", "a"), "list": ("lpush", "a"), "hash": ("hset", "a", "b")}


@pytest.mark.parametrize("kind", TYPES)
def test_a_config_of_another_type_is_mended_by_a_put(
    client: httpx.Client, api: Api, server: Server, valkey: Valkey, kind: str
) -> None:
    user, other = api.login(), Api.new_tenant(client).login()
    key = f"tenant:{api.tenant_id}:config"
    valkey.client.delete(key)
    valkey.client.execute_command(TYPES[kind][0], key, *TYPES[kind][1:])
    for _ in range(3):
        assert user.charge().status_code == 503
        assert api.get("/admin/config", ADMIN).status_code == 503
        assert other.charge().status_code == 200
    assert api.tenant_id in client.get("/tenants", headers=ADMIN).json()["tenants"]
    lines = [line for line in server.text().splitlines() if api.tenant_id in line]
    assert sum(line.startswith("[ERROR]") for line in lines) == 1, lines
    taken = client.post(
        "/tenants", json={"tenantId": api.tenant_id, "config": config()}, headers=ADMIN
    )
    assert taken.status_code == 409
    assert api.put_config(config(), **{"If-Match": f'"{"0" * 40}"'}).status_code == 412
    assert api.put_config(config()).status_code == 200
    assert user.charge().json() == {"tokensLeft": 99}
    valkey.client.delete(key)
    valkey.client.execute_command(TYPES[kind][0], key, *TYPES[kind][1:])
    assert client.delete(f"/tenants/{api.tenant_id}", headers=ADMIN).status_code == 204
    assert user.charge().status_code == 400
    assert "Traceback" not in server.text()
