"""Idempotency-Keys: the first reply is repeated, whatever has changed, for a day."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from tests.api import Api, User, config
from tests.callers import Load
from tests.metering.exactness import login, statuses
from tests.processes import Server, Valkey
from tests.stored import age_replies, left_ms, once_key, replies_left_ms, set_admissions

DAY_MS = 86_400_000
PAID = {"tokens": 2_000, "rate_limit": 10_000, "rate_limit_window": 60}
KEY = {"Idempotency-Key": "one"}
REUSED = {"error": "Idempotency-Key reused with another request"}

Ask = Callable[..., httpx.Response]

METERED: dict[str, Callable[[User], Ask]] = {
    "charge": lambda user: lambda tokens, **headers: user.charge(tokens, **headers),
    "hold": lambda user: lambda tokens, **headers: user.hold({"tokens": tokens}, **headers),
}


@pytest.mark.parametrize("name", METERED)
def test_401_then_the_kept_reply_then_429_then_402(api: Api, valkey: Valkey, name: str) -> None:
    (user,) = login(api, tokens=5, rate_limit=1, rate_limit_window=60)
    ask = METERED[name](user)
    first = ask(5, **KEY)
    assert first.status_code in (200, 201)
    assert "idempotent-replayed" not in first.headers
    # The limit is reached, and nothing is left.
    for _ in range(2):
        again = ask(5, **KEY)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers["idempotent-replayed"] == "true"
    assert ask(5).status_code == 429
    set_admissions(valkey, user, [60_001])
    assert ask(5).status_code == 402
    assert len(user.ledger()) == 2
    assert api.revoke(user.api_key).status_code == 204
    assert ask(5, **KEY).status_code == 401


@pytest.mark.parametrize("name", METERED)
def test_refusals_are_not_kept(api: Api, valkey: Valkey, name: str) -> None:
    (user,) = login(api, tokens=5, rate_limit=1, rate_limit_window=60)
    ask = METERED[name](user)
    assert ask(6, **KEY).status_code == 402
    user.grant({"tokens": 1})
    set_admissions(valkey, user, [0])
    assert ask(6, **KEY).status_code == 429
    set_admissions(valkey, user, [60_001])
    made = ask(6, **KEY)
    assert made.status_code in (200, 201)
    assert "idempotent-replayed" not in made.headers


HOLD = {"tokens": 50, "minimum": 40, "ttl": 30}
# An operation, what it was asked first, and what it may not be asked with the same key.
OTHERS: dict[str, tuple[Callable[..., httpx.Response], object, list[object]]] = {
    "charge": (lambda user, tokens, **key: user.charge(tokens, **key), 5, [6, 50]),
    "hold": (
        User.hold,
        HOLD,
        [HOLD | one for one in ({"tokens": 51}, {"minimum": 41}, {"ttl": 31})],
    ),
    "grant": (User.grant, {"tokens": 500}, [{"tokens": 501}, {"group": "500"}]),
    "move": (User.grant, {"group": "500"}, [{"tokens": 500}, {"group": "paid"}]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_is_for_one_request(api: Api, name: str) -> None:
    ask, first, others = OTHERS[name]
    group = {"tokens": 500, "rate_limit": 10_000, "rate_limit_window": 60}
    assert api.put_config(config(**{"500": group})).status_code == 200
    user = api.login()
    made = ask(user, first, **KEY)
    assert made.status_code in (200, 201)
    before = user.balance()
    for other in others:
        reused = ask(user, other, **KEY)
        assert (reused.status_code, reused.json()) == (422, REUSED)
    assert user.balance() == before
    assert ask(user, first, **KEY).json() == made.json()


def test_a_key_is_for_one_operation(api: Api) -> None:
    """So that a user cannot occupy an administrator's key."""
    user = api.login()
    assert user.charge(10, **KEY).json() == {"tokensLeft": 90}
    assert user.hold({"tokens": 10}, **KEY).json()["tokensLeft"] == 80
    assert user.grant({"tokens": 10}, **KEY).json()["tokensLeft"] == 90


def test_a_reply_is_kept_for_a_day_from_its_own_request(api: Api, valkey: Valkey) -> None:
    user = api.login()
    user.charge(1, **KEY)
    valkey.client.pexpire(once_key(user), 60_000)  # as if that had been a day ago
    user.charge(1, **{"Idempotency-Key": "two"})
    assert DAY_MS - 10_000 < left_ms(valkey, once_key(user)) <= DAY_MS
    left = replies_left_ms(valkey, user)
    assert len(left) == 2
    assert all(DAY_MS - 10_000 < ms <= DAY_MS for ms in left)


async def test_a_permanent_user_has_at_most_1000_live_keys(
    api: Api, server: Server, valkey: Valkey
) -> None:
    assert api.put_config(config(paid=PAID)).status_code == 200
    user = api.login().become_permanent()
    async with Load(server.url) as load:
        answers = await asyncio.gather(
            *(load.charge(user, 1, **{"Idempotency-Key": f"key-{n}"}) for n in range(1_010))
        )
    assert statuses(answers) == {200: 1_000, 429: 10}
    assert user.balance()["tokensLeft"] == 1_000
    one_more = {"Idempotency-Key": "one-more"}
    for full in (user.charge(1, **one_more), user.hold({"tokens": 1}, **one_more)):
        assert full.status_code == 429
        assert 86_300 < int(full.headers["retry-after"]) <= 86_400
    age_replies(valkey, user, most=1, left_ms=3_600_000)
    looked_through = valkey.calls("hgetall")
    for _ in range(3):
        full = user.charge(1, **one_more)
        assert full.status_code == 429
        assert 3_590 < int(full.headers["retry-after"]) <= 3_600
    assert valkey.calls("hgetall") == looked_through + 1, "it is long, and nothing has changed"
    # Without a key.
    held = user.hold({"tokens": 1})
    assert user.settle(held.json()["holdId"], 0).status_code == 200
    assert user.charge().json() == {"tokensLeft": 999}

    age_replies(valkey, user, most=1)
    codes = [user.charge(1, **{"Idempotency-Key": f"more-{n}"}).status_code for n in range(2)]
    assert codes == [200, 429]
    age_replies(valkey, user)
    assert user.charge(1, **{"Idempotency-Key": "key-1"}).json() == {"tokensLeft": 997}
    assert valkey.client.hlen(once_key(user)) <= 2
    replayed = user.charge(1, **{"Idempotency-Key": "key-1"})
    assert replayed.json() == {"tokensLeft": 997}
    assert replayed.headers["idempotent-replayed"] == "true"


def test_any_number_of_expired_keys_is_swept(api: Api, valkey: Valkey) -> None:
    """Those of grants are not capped."""
    user = api.login()
    user.charge(98)
    key = once_key(user)
    valkey.client.hset(key, mapping={f"grant:{n}": "[1,0,0]" for n in range(9_000)})
    assert user.charge(1, **{"Idempotency-Key": "a"}).json() == {"tokensLeft": 1}
    assert valkey.client.hlen(key) == 1
