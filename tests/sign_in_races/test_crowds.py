"""Many devices of one person: one user, and its free tokens once."""

import asyncio

from tests.api import User
from tests.callers import Load
from tests.sign_in_races.people import Signed, Somebody, insist, log_in, works
from tests.sign_in_races.site import Site

MOST_LOGIN_KEYS = 20
TOGETHER = 32
KILLS = 3


async def test_first_logins_at_once(site: Site) -> None:
    """Half of a hundred with anonymous users of their own."""
    app = site.app()
    somebody = Somebody(app)
    async with site.load() as load:
        anonymous: list[User | None] = [app.api.login() for _ in range(50)]
        signed = await asyncio.gather(
            *(somebody.sign_in(load, user) for user in [*anonymous, *[None] * 50])
        )
        await check_one_user(site, load, signed)
        left = [user.balance()["tokensLeft"] for user in anonymous if user]
    assert sorted(left) in ([100] * 50, [100] * 49 + [1_000])
    site.audit()


async def test_first_logins_while_workers_die(site: Site) -> None:
    """Of one person after the other, until some workers have."""
    app, people = site.app(), 0
    async with site.load() as load, site.killing() as killed:
        while killed.times < KILLS:
            somebody, people = Somebody(app), people + 1
            anonymous = [await log_in(load, app) for _ in range(50)]
            signed = await asyncio.gather(
                *(somebody.sign_in(load, user) for user in [*anonymous, *[None] * 50])
            )
            last = await somebody.sign_in(load)
            await check_one_user(site, load, [*signed, last])
            assert await works(load, last)
    print(f"{people} people, {killed.times} kills")
    site.audit()


async def check_one_user(site: Site, load: Load, signed: list[Signed]) -> None:
    """All are the same, who has had free tokens once; which of its keys work."""
    assert len({user.user_id for user in signed}) == 1
    alive = [user for user in signed if await works(load, user)]
    keys = {user.api_key for user in alive}
    of_logins = [key for key in keys if key.startswith("key_")]
    promoted = {user.api_key for user in signed if user.api_key.startswith("temp_")}
    assert len(of_logins) <= MOST_LOGIN_KEYS
    assert promoted <= keys
    assert alive[0].changes() in (
        [("grant", 1_000, 1_000)],
        [("grant", 100, 100), ("group", 900, 1_000)],
    )
    stored = site.users(signed[0].api.tenant_id)[signed[0].user_id]
    records = {key for key, user_id in site.records().items() if user_id == signed[0].user_id}
    assert records == set(stored["apiKeys"]) >= keys


async def test_a_thousand_anonymous_users(site: Site) -> None:
    """Of one person, who gets the tokens of a login once, whoever dies meanwhile."""
    app = site.app()
    somebody, at_once = Somebody(app), asyncio.Semaphore(TOGETHER)
    anonymous: list[User] = []

    async def arrive(load: Load) -> Signed:
        async with at_once:
            anonymous.append(await log_in(load, app))
            return await somebody.sign_in(load, anonymous[-1])

    async with site.load() as load, site.killing() as killed:
        signed = await asyncio.gather(*(arrive(load) for _ in range(1_000)))
        assert killed.times > 0
        last = await somebody.sign_in(load)
        await check_one_user(site, load, [*signed[-100:], last])
        assert await works(load, last)
    assert len({user.user_id for user in signed}) == 1
    users = site.users(app.api.tenant_id)
    # One more user for each anonymous login whose answer was lost.
    assert 1_000 <= len(users) <= 1_000 + TOGETHER * killed.times
    balances = sorted(user["tokensLeft"] for user in users.values())
    assert balances == [100] * (len(users) - 1) + [1_000]
    site.audit()


async def test_delete_and_log_in_again(site: Site) -> None:
    """Ten times and until some workers have died; there are free tokens the first time alone."""
    app = site.app()
    people = [Somebody(app) for _ in range(10)]
    async with site.load() as load, site.killing() as killed:
        started = [await one.sign_in(load, await log_in(load, app)) for one in people]
        assert {user.reply["tokensLeft"] for user in started} == {1_000}
        times = 0
        while times < 10 or killed.times < KILLS:
            await asyncio.gather(*(_leave_and_return(load, one, times) for one in people))
            times += 1
        last = [await one.sign_in(load) for one in people]
        assert all([await works(load, user) for user in last])
    print(f"deleted {times} times, {killed.times} kills")
    assert {user.reply["tokensLeft"] for user in last} == {0}
    site.audit()


async def _leave_and_return(load: Load, somebody: Somebody, times: int) -> None:
    """From an anonymous user now and then, whose own tokens it may keep."""
    user = await somebody.sign_in(load, await log_in(load, somebody.app) if times % 3 else None)
    if times:
        assert user.reply["tokensLeft"] == (100 if times % 3 else 0), user.reply
    path = f"/{somebody.app.api.tenant_id}/auth/me"
    answer = await insist(load, "DELETE", path, user, {})
    assert answer.status in (204, 401), answer.body  # by the first of two questions
    assert not await works(load, user)
