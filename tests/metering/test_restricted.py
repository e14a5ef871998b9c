"""Restricted keys of a user, counted with it: random sequences against a model, the calls' holds as
the gateway makes them."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from server.errors import InvalidApiKey, NotFound
from server.identity.restricted import RestrictedKeys
from server.metering.accounts import Accounts
from server.metering.errors import PaymentRequired
from server.metering.meter import Meter, new_hold_id
from server.metering.renewal import Renewal
from server.store.store import Store
from server.who import Who
from tests.api import GROUPS, Api, User, config
from tests.metering.restricted_model import START, Account
from tests.metering.test_audit import audit
from tests.processes import Valkey
from tests.stored import let_holds_expire, record

STEPS = 120
MINUTE_MS = 60_000


class Parts(NamedTuple):
    meter: Meter
    accounts: Accounts
    keys: RestrictedKeys


@pytest.fixture
async def parts(valkey: Valkey) -> AsyncIterator[Parts]:
    store = Store(valkey.url, 5)
    await store.start()
    renewal = Renewal(store, 200, MINUTE_MS)
    accounts = Accounts(store, 200, MINUTE_MS, renewal)
    yield Parts(Meter(store, 200, renewal), accounts, RestrictedKeys(store, 200))
    await store.close()


async def restricted(parts: Parts, user: User, tokens: int, ttl_ms: int = MINUTE_MS) -> Who:
    owner = Who(user.api.tenant_id, user.user_id, user.api_key)
    made = await parts.keys.add(owner, tokens, ttl_ms, {})
    found, key = await parts.keys.find(made.api_key)
    assert (found, key.key_id) == (user.user_id, made.key_id)
    return Who(user.api.tenant_id, found, made.api_key, key)


class Run:
    """A user, its keys, and the model of both."""

    def __init__(self, parts: Parts, user: User, valkey: Valkey, seed: int) -> None:
        self.parts, self.user, self.valkey = parts, user, valkey
        self.owner = Who(user.api.tenant_id, user.user_id, user.api_key)
        self.random = random.Random(seed)
        self.account = Account()
        self.whos: list[Who] = []
        self.calls: dict[str, int | None] = {}
        """Those that have not settled, whether or not they still hold, and their keys."""

    def who(self, key: int | None) -> Who:
        return self.owner if key is None else self.whos[key]

    async def step(self) -> None:
        steps = [self.add, self.hold, self.hold, self.hold, self.settle, self.settle, self.expire]
        await self.random.choice([*steps, self.remove])()
        await self.check()

    async def add(self) -> None:
        tokens = self.random.randint(1, 60)
        self.whos.append(await restricted(self.parts, self.user, tokens))
        self.account.add(tokens)

    async def hold(self) -> None:
        key = self.random.choice([None, *range(len(self.whos))])
        hold_id, wanted = new_hold_id(), self.random.randint(1, 40)
        least = self.random.randint(1, wanted)
        who = self.who(key)
        asked = self.parts.meter.hold(who, wanted, least, MINUTE_MS, "own", {}, hold_id=hold_id)
        if key is not None and self.account.keys[key].removed:
            with pytest.raises(InvalidApiKey):
                await asked
            return
        expected = self.account.hold(hold_id, key, wanted, least)
        if expected is None:
            with pytest.raises(PaymentRequired) as refused:
                await asked
            assert refused.value.tokens_left == self.account.left_for(key)
            return
        held = await asked
        assert (held.tokens, held.tokens_left) == (expected, self.account.left_for(key))
        self.calls[hold_id] = key

    async def settle(self) -> None:
        """Some costs exceed what was held, and some come when that has gone back."""
        if not self.calls:
            return
        hold_id = self.random.choice(sorted(self.calls))
        key, cost = self.calls.pop(hold_id), self.random.randint(0, 50)
        who = replace(self.who(key), api_key="")
        again = self.random.random() < 0.3
        expected = self.account.settle(hold_id, key, cost)
        settled = await self.parts.meter.settle(who, hold_id, cost, "own", {})
        assert settled.tokens == expected
        if again and cost:
            repeated = await self.parts.meter.settle(who, hold_id, cost, "own", {}, again=True)
            assert repeated.replayed

    async def expire(self) -> None:
        if self.random.random() < 0.5:
            let_holds_expire(self.valkey, self.user)
            self.account.expire()

    async def remove(self) -> None:
        if not self.whos or self.random.random() < 0.7:
            return
        key = self.random.randrange(len(self.whos))
        removed = self.parts.keys.remove(self.owner, self.whos[key].key_id)
        if self.account.keys[key].removed:
            with pytest.raises(NotFound):
                await removed
        else:
            await removed
            self.account.keys[key].removed = True

    async def check(self) -> None:
        found = await self.parts.accounts.balance(self.owner)
        account = self.account
        assert (found.tokens_left, found.tokens_held, found.tokens_used) == (
            *(account.left, account.held(None), account.used),
        )
        listed = {one.key_id: one for one in await self.parts.keys.list(self.owner)}
        assert len(listed) == sum(not key.removed for key in account.keys)
        for number, (who, key) in enumerate(zip(self.whos, account.keys, strict=True)):
            if key.removed:
                with pytest.raises(InvalidApiKey):
                    await self.parts.accounts.balance(who)
                continue
            of_key = await self.parts.accounts.balance(who)
            held = account.held(number)
            shown = (max(key.tokens - key.spent - held, 0), held, key.spent)
            assert (of_key.tokens_left, of_key.tokens_held, of_key.tokens_used) == shown
            one = listed[who.key_id]
            assert (one.tokens_left, one.tokens_held, one.tokens_used) == shown


@pytest.mark.parametrize("seed", range(4))
async def test_keys_are_counted_as_the_model_says(
    api: Api, valkey: Valkey, parts: Parts, seed: int
) -> None:
    assert api.put_config(config(paid={**GROUPS["paid"], "tokens": START})).status_code == 200
    user = api.login().become_permanent()  # to have more than 3
    run = Run(parts, user, valkey, seed)
    for _ in range(STEPS):
        await run.step()
    assert record(valkey, user)["overrun"] == run.account.overrun
    clean = audit(valkey, api)
    assert clean.returncode == 0, clean.stdout
