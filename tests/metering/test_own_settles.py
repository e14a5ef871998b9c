"""A settle of the gateway's own, repeated until its reply arrives: charged once, in whatever order
its tries reach Redis, and whatever had become of the hold."""

from collections.abc import AsyncIterator

import pytest

from server.metering.meter import Meter, new_hold_id
from server.metering.renewal import Renewal
from server.store.store import Store
from server.who import Who
from tests.api import Api, User
from tests.metering.test_audit import audit
from tests.processes import Valkey
from tests.stored import let_holds_expire, put, record

HELD, COST = 60, 25


@pytest.fixture
async def meter(valkey: Valkey) -> AsyncIterator[Meter]:
    store = Store(valkey.url, 5)
    await store.start()
    yield Meter(store, 200, Renewal(store, 200, 1_000_000))
    await store.close()


def back_at_its_deadline(valkey: Valkey, user: User) -> None:
    let_holds_expire(valkey, user)
    assert user.balance()["tokensHeld"] == 0


def past_its_deadline(valkey: Valkey, user: User) -> None:
    let_holds_expire(valkey, user)


def forgotten(valkey: Valkey, user: User) -> None:
    """By a fail-over; the tokens with it."""
    stored = record(valkey, user)
    put(valkey, user, stored | {"holds": {}, "tokensLeft": stored["tokensLeft"] + HELD})


def open_still(valkey: Valkey, user: User) -> None:
    pass


STATES = (open_still, past_its_deadline, back_at_its_deadline, forgotten)
# The first try may come last: a connection can hold it back.
ORDERS = ([False], [False, True], [False, True, True], [True, False], [True, True, False])


@pytest.mark.parametrize("tries", ORDERS, ids=str)
@pytest.mark.parametrize("become", STATES)
async def test_it_is_charged_once(
    api: Api, valkey: Valkey, meter: Meter, become: object, tries: list[bool]
) -> None:
    user = api.login()
    who, hold_id = Who(api.tenant_id, user.user_id, ""), new_hold_id()
    key = Who(api.tenant_id, user.user_id, user.api_key)
    await meter.hold(key, HELD, HELD, 60_000, "own", {}, hold_id=hold_id)
    assert callable(become)
    become(valkey, user)
    found = [await meter.settle(who, hold_id, COST, "own", {}, again) for again in tries]
    assert [settled.tokens for settled in found] == [COST] * len(tries)
    assert sum(not settled.replayed for settled in found) == 1
    balance = user.balance()
    assert (balance["tokensUsed"], balance["tokensLeft"]) == (COST, 100 - COST)
    assert user.settle(hold_id, 0).status_code == 404
    if become is not forgotten:
        assert audit(valkey, api).returncode == 0


async def test_notes_are_few(api: Api, valkey: Valkey, meter: Meter) -> None:
    user = api.login()
    key = Who(api.tenant_id, user.user_id, user.api_key)
    for _ in range(2):
        for _ in range(30):
            await meter.hold(key, 1, 1, 60_000, "own", {})
        back_at_its_deadline(valkey, user)
    stored = record(valkey, user)
    assert len(stored["returned"]) == 50
    aged = {name: [1] for name in stored["returned"]}
    put(valkey, user, stored | {"returned": aged})
    await meter.hold(key, 1, 1, 60_000, "own", {})
    back_at_its_deadline(valkey, user)
    assert len(record(valkey, user)["returned"]) == 1


async def test_what_costs_nothing_is_not_noted(api: Api, valkey: Valkey, meter: Meter) -> None:
    """A hold whose outcome is unknown is released, though there may be none."""
    user = api.login()
    before = record(valkey, user)
    await meter.settle(Who(api.tenant_id, user.user_id, ""), new_hold_id(), 0, "own", {})
    assert record(valkey, user) == before
