"""Holds that are parts of what has counted already, as the responses of one session of voice."""

from dataclasses import replace

import pytest

from server.errors import InvalidApiKey, TenantLimited, TooManyRequests
from server.metering.errors import PaymentRequired
from server.metering.holding import Ending, Holding
from server.metering.leases import Leases
from server.metering.limited import LimitedMeter
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.metering.rules import NO_RULES, Rules
from server.store.store import Store
from server.tenants.config import Limits
from server.timeouts import Timeouts
from server.who import Who
from tests.api import Api
from tests.metering.exactness import login
from tests.processes import Valkey
from tests.stored import rate_key

PART = Rules("", (), is_rated=False)


@pytest.fixture
def meter(store: Store) -> Meter:
    return Meter(store, 200, Renewal(store, 200, 1_000_000))


async def test_they_neither_count_nor_are_refused(api: Api, valkey: Valkey, meter: Meter) -> None:
    (user,) = login(api, rate_limit=1, rate_limit_window=60)
    who = Who(api.tenant_id, user.user_id, user.api_key)
    await meter.hold(who, 1, 1, 60_000, "own", {}, rules=PART)
    assert valkey.client.llen(rate_key(user)) == 0
    await meter.hold(who, 1, 1, 60_000, "own", {}, rules=NO_RULES)
    held = await meter.hold(who, 1, 1, 60_000, "own", {}, rules=PART)
    assert (held.rate.remaining, valkey.client.llen(rate_key(user))) == (0, 1)
    await meter.check(who, "hold", 1, is_rated=False)
    with pytest.raises(TooManyRequests):
        await meter.check(who, "hold", 1)
    with pytest.raises(TooManyRequests):
        await meter.hold(who, 1, 1, 60_000, "own", {})


async def test_all_else_of_them_is_as_ever(api: Api, meter: Meter) -> None:
    (user,) = login(api)
    left = user.balance()["tokensLeft"]
    who = Who(api.tenant_id, user.user_id, user.api_key)
    with pytest.raises(PaymentRequired):
        await meter.hold(who, left + 1, left + 1, 60_000, "own", {}, rules=PART)
    with pytest.raises(InvalidApiKey):
        await meter.hold(replace(who, api_key="temp_other"), 1, 1, 60_000, "own", {}, rules=PART)


async def test_what_ran_without_a_hold_is_owed(api: Api, meter: Meter) -> None:
    """As far as the balance has it; the rest is overrun."""
    (user,) = login(api)
    left = user.balance()["tokensLeft"]
    holding, who = Holding(Timeouts()), Who(api.tenant_id, user.user_id, user.api_key)
    holding.owe(meter, who, Ending(left - 1, {"response": "one"}))
    await holding.finish(0)
    assert user.balance()["tokensLeft"] == 1
    holding.owe(meter, who, Ending(5, {"response": "two"}))
    await holding.finish(0)
    assert user.balance()["tokensLeft"] == 0
    ops = [(entry["op"], entry["tokens"], entry["ref"]) for entry in user.ledger()][:3]
    assert ops == [
        ("overrun", 0, {"overrun": 4}),
        ("settle", -1, {"response": "two"}),
        ("settle", 1 - left, {"response": "one"}),
    ]


async def test_they_are_no_calls_of_the_tenant(api: Api, store: Store, meter: Meter) -> None:
    """But streams, and their tokens count."""
    (user,) = login(api)
    who = Who(api.tenant_id, user.user_id, user.api_key)
    leases = Leases(store)
    limits = Limits(calls_per_minute=1, tokens_per_day=100, streams=1)

    async def hold(tokens: int, rules: Rules) -> tuple[LimitedMeter, str]:
        limited = LimitedMeter(meter, leases.of(api.tenant_id, limits), is_stream=True)
        held = await limited.hold(who, tokens, tokens, 60_000, "own", {}, rules=rules)
        return limited, held.hold_id

    try:
        for rules in (PART, NO_RULES, PART):
            limited, hold_id = await hold(30, rules)
            with pytest.raises(TenantLimited):
                await hold(1, PART)
            await limited.settle(who, hold_id, 30, "own", {})
        with pytest.raises(TenantLimited):
            await hold(1, NO_RULES)
        with pytest.raises(TenantLimited):
            await hold(11, PART)
        await hold(10, PART)
    finally:
        await leases.finish()
