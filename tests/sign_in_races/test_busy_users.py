"""Logins of a user that spends, or is about to expire."""

import asyncio
from typing import NamedTuple

import pytest

from tests.api import User, config
from tests.callers import Load
from tests.faults.checks import user_and_ledger
from tests.login_providers.signing import GROUP, App
from tests.sign_in_races.people import Somebody, ask, log_in, works
from tests.sign_in_races.site import Site

PER_SECOND, SECONDS = 200, 3
RICH = {"tokens": 100_000, "rate_limit": 10_000, "rate_limit_window": 1}


class Spent(NamedTuple):
    """`lost`: requests without an answer."""

    tokens: int
    lost: int


async def _spend(load: Load, user: User, number: int) -> Spent:
    """Charges, and every fourth time holds and settles."""
    base = f"/{user.api.tenant_id}"
    if number % 4:
        answer = await ask(load, "POST", f"{base}/charges", user, {"tokens": 1})
        assert answer is None or answer.status == 200, answer
        return Spent(1, 0) if answer else Spent(0, 1)
    answer = await ask(load, "POST", f"{base}/holds", user, {"tokens": 5, "ttl": 60})
    assert answer is None or answer.status == 201, answer
    if answer is None:
        return Spent(0, 1)
    path = f"{base}/holds/{answer.body['holdId']}/settle"
    while True:  # again is the same
        answer = await ask(load, "POST", path, user, {"tokens": 3})
        if answer is not None:
            assert answer.status == 200, answer
            return Spent(3, 0)


@pytest.mark.parametrize("kills", [False, True])
async def test_logins_while_the_user_spends(site: Site, kills: bool) -> None:
    app = site.app()
    groups = {"anonymous": RICH, "google_logged_in": RICH | {"tokens": 200_000}}
    assert app.api.put_config(config(**groups) | {"auth": app.auth}).status_code == 200
    user = app.api.login()
    people = [Somebody(app), Somebody(app, "apple")]
    async with site.load() as load:
        if kills:
            async with site.killing() as killed:
                spent = await _at_a_steady_rate(load, user, people)
                assert killed.times > 0
        else:
            spent = await _at_a_steady_rate(load, user, people)
        assert await works(load, user)
    used, lost = sum(one.tokens for one in spent), sum(one.lost for one in spent)
    if not kills:
        assert lost == 0
    stored, entries = user_and_ledger(site.redis, user.user_id)
    assert used <= stored["tokensUsed"] <= used + lost
    assert len(stored["holds"]) <= lost
    numbers = [entry[0] for entry in entries]
    assert numbers == list(range(numbers[0], stored["entries"] + 1))
    held = sum(hold[0] for hold in stored["holds"].values())
    assert stored["tokensLeft"] + held + stored["tokensUsed"] == stored["tokensGranted"]
    site.audit()


async def _at_a_steady_rate(load: Load, user: User, people: list[Somebody]) -> list[Spent]:
    """With logins in between, the first of which makes the user an account."""
    tasks, logins = [], []
    for number in range(PER_SECOND * SECONDS):
        tasks.append(asyncio.create_task(_spend(load, user, number)))
        if number % 20 == 10:
            somebody = people[number // 20 % 4 == 3]
            body = {"link": True} if somebody.provider == "apple" else {}
            logins.append(asyncio.create_task(somebody.sign_in(load, user, **body)))
        await asyncio.sleep(1 / PER_SECOND)
    assert {login.user_id for login in await asyncio.gather(*logins)} == {user.user_id}
    return await asyncio.gather(*tasks)


async def _promote(load: Load, app: App, user: User) -> int:
    signed = await Somebody(app).sign_in(load, user)
    assert (signed.user_id, signed.api_key) == (user.user_id, user.api_key)
    return int(signed.reply["tokensLeft"])


async def test_promotion_whatever_the_balance(site: Site) -> None:
    app = site.app()
    async with site.load() as load:
        user = app.api.login()
        hold = user.hold({"tokens": 60, "ttl": 600}).json()["holdId"]
        assert await _promote(load, app, user) == 940
        assert user.settle(hold, 10).json()["tokensLeft"] == 990

        user = app.api.login()
        user.charge(100)
        assert await _promote(load, app, user) == GROUP["google_logged_in"]["tokens"]

        user = app.api.login()
        holds = [user.hold({"tokens": 2, "ttl": 600}).json()["holdId"] for _ in range(50)]
        assert await _promote(load, app, user) == 900
        assert {user.settle(one, 1).status_code for one in holds} == {200}
        assert user.balance()["tokensLeft"] == 950
    site.audit()


async def test_promotion_in_the_last_second(site: Site) -> None:
    app = site.app()
    async with site.load() as load:
        for number in range(20):
            user = await log_in(load, app)
            name = f"user:{user.user_id}"
            for key in (name, f"{{{name}}}:ledger"):
                _expire(site, key, 1_000)
            _expire(site, f"apiKey:{user.api_key}", 1_000 + 50 * (number % 2))
            assert await _promote(load, app, user) == 1_000
            assert _lasts(site, name)
            assert _lasts(site, f"{{{name}}}:ledger")
            assert _lasts(site, f"apiKey:{user.api_key}")
    site.audit()


def _primary_of(site: Site, key: str):  # type: ignore[no-untyped-def]
    """The one that has it."""
    primaries = site.redis.primaries()
    if len(primaries) == 1:
        return primaries[0]
    return next(one for one in primaries if any(one.scan_iter(key, count=10_000)))


def _expire(site: Site, key: str, ms: int) -> None:
    assert _primary_of(site, key).pexpire(key, ms)


def _lasts(site: Site, key: str) -> bool:
    return bool(_primary_of(site, key).ttl(key) == -1)
