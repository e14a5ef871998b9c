"""Granted tokens: spent after the group's, kept by each move to another group."""

import pytest

from tests.api import ADMIN, Api, User
from tests.metering.test_audit import audit
from tests.processes import Valkey
from tests.stored import let_holds_expire, put, record


def parts(user: User) -> tuple[int, int, int]:
    balance = user.balance()
    return balance["tokensLeft"], balance["tokensExtra"], balance["tokensHeld"]


def test_they_are_spent_last_and_survive_each_move(api: Api, valkey: Valkey) -> None:
    user = api.login()
    assert parts(user) == (100, 0, 0)
    assert user.grant({"tokens": 500}).json() == {"tokensLeft": 600, "group": "anonymous"}
    user.charge(60)
    assert parts(user) == (540, 500, 0), "the group's first"
    user.charge(60)
    assert parts(user) == (480, 480, 0)
    assert user.grant({"group": "paid"}).json() == {"tokensLeft": 5_480, "group": "paid"}
    assert parts(user) == (5_480, 480, 0)
    user.grant({"group": "paid"})
    assert parts(user) == (5_480, 480, 0), "once"
    user.grant({"tokens": 20})
    user.charge(5_100)
    assert parts(user) == (400, 400, 0)
    user.grant({"group": "anonymous"})
    assert parts(user) == (500, 400, 0)
    changes = [("grant", 20, 5_500), ("charge", -5_100, 400), ("group", 100, 500)]
    assert user.changes()[-3:] == changes
    assert audit(valkey, api).returncode == 0


def test_what_is_held_may_be_of_them(api: Api, valkey: Valkey) -> None:
    user = api.login().become_permanent()
    user.charge(5_000)
    user.grant({"tokens": 50})
    hold_id = user.hold({"tokens": 40, "ttl": 3600}).json()["holdId"]
    assert parts(user) == (10, 50, 40)
    user.grant({"group": "anonymous"})
    assert parts(user) == (110, 50, 40)
    user.settle(hold_id, 30)
    assert parts(user) == (120, 50, 0), "the call was paid by the group's"
    user.hold({"tokens": 90, "ttl": 3600})
    user.grant({"group": "paid"})
    let_holds_expire(valkey, user)
    assert parts(user) == (5_050, 50, 0)
    user.hold({"tokens": 5_050, "ttl": 3600})
    user.grant({"group": "anonymous"})
    assert parts(user) == (0, 50, 5_050), "more is held than there would be"
    assert audit(valkey, api).returncode == 0


def test_a_restricted_key_sees_none(api: Api) -> None:
    user = api.login()
    user.grant({"tokens": 50})
    assert parts(user.restricted(tokens=40)) == (40, 0, 0)


def test_an_administrator_sees_them(api: Api) -> None:
    user = api.login()
    user.grant({"tokens": 50}, **{"Idempotency-Key": "a"})
    user.grant({"tokens": 50}, **{"Idempotency-Key": "a"})
    found = api.get(f"/admin/users/{user.user_id}", ADMIN).json()
    assert (found["tokensLeft"], found["tokensExtra"]) == (150, 50), "a replay gives nothing"


def test_who_has_all_that_there_may_be_gets_no_more(api: Api, valkey: Valkey) -> None:
    user = api.login()
    assert user.grant({"tokens": 10**13 - 100}).status_code == 200
    assert user.grant({"tokens": 1}).status_code == 422
    assert user.grant({"group": "paid"}).status_code == 422
    assert parts(user) == (10**13, 10**13 - 100, 0)
    assert record(valkey, user)["group"] == "anonymous"


@pytest.mark.parametrize("extra", [-1, 0.5, "5", True, 10**13 + 1])
def test_what_another_program_made_of_them_stops_no_charge(
    api: Api, valkey: Valkey, extra: object
) -> None:
    user = api.login()
    put(valkey, user, record(valkey, user) | {"extra": extra})
    assert user.charge(5).json() == {"tokensLeft": 95}
    for body in ({"tokens": 5}, {"group": "paid"}):
        assert user.grant(body).status_code == 503
    assert api.get("/balance", user.headers).status_code == 503
    assert record(valkey, user)["tokensLeft"] == 95
    put(valkey, user, record(valkey, user) | {"extra": 0})
