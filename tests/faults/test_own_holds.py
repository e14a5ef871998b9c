"""Holds of our own calls: settled whatever happens, returned when their worker is killed."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from tests.api import Api, User
from tests.faults.checks import audit
from tests.faults.topologies import OneServer, value_of
from tests.hurried import FINDING, HOLD_SECONDS, HOLDS, Hurried
from tests.processes import eventually


@contextmanager
def holding(output: Path, redis_url: str) -> Iterator[Hurried]:
    with Hurried(output, redis_url, HOLDS, GRACE_SECONDS="1") as server:
        yield server


@pytest.fixture
def holder(one: OneServer, tmp_path: Path) -> Iterator[Hurried]:
    with holding(tmp_path / "holder.out", one.url) as holder:
        yield holder


@pytest.fixture
def api(holder: Hurried) -> Iterator[Api]:
    with httpx.Client(base_url=holder.url, timeout=10) as client:
        yield Api.new_tenant(client)


class Calls:
    """Calls under way, from a client that can vanish."""

    def __init__(self, holder: Hurried, users: list[User], seconds: float, **body: int) -> None:
        self.holder, self.users, self.seconds = holder, users, seconds
        self.body = {"tokens": 60, **body}

    async def __aenter__(self) -> "Calls":
        self.session = aiohttp.ClientSession()
        self.tasks = [asyncio.create_task(self._call(user)) for user in self.users]
        return self

    async def _call(self, user: User) -> Any:
        url = f"{self.holder.url}/{user.api.tenant_id}/calls/{self.seconds}"
        async with self.session.post(url, json=self.body, headers=user.headers) as reply:
            return reply.status

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.session.close()


async def held(user: User) -> int:
    return int((await asyncio.to_thread(user.balance))["tokensHeld"])


async def until_held(users: list[User], tokens: int, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while any([await held(user) != tokens for user in users]):
        assert time.monotonic() < deadline, f"not {tokens} held"
        await asyncio.sleep(0.02)


async def test_a_worker_is_killed_with_50_holds_open(
    one: OneServer, holder: Hurried, api: Api, tmp_path: Path
) -> None:
    users = [api.login() for _ in range(50)]
    async with Calls(holder, users, seconds=60, cost=60):
        await until_held(users, 60)
        # They outlive their first deadline, since their worker lives.
        await asyncio.sleep(HOLD_SECONDS + 0.5)
        await until_held(users, 60, 0.5)
        holder.signal_group(signal.SIGKILL)
        killed_at = time.monotonic()
        holder.wait()
    with holding(tmp_path / "second.out", one.url) as second:
        for user in users:
            user.api.client = httpx.Client(base_url=second.url)
        await asyncio.sleep(max(0, killed_at + HOLD_SECONDS + 1 - time.monotonic()))
        assert [user.balance()["tokensLeft"] for user in users] == [100] * 50
        audit(one.url, api.tenant_id)


async def test_a_client_that_leaves_pays_what_the_call_cost(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    users = [api.login() for _ in range(20)]
    async with Calls(holder, users, seconds=60, cost=25):
        await until_held(users, 60)
    await until_held(users, 0)
    assert [user.balance()["tokensLeft"] for user in users] == [75] * 20
    audit(one.url, api.tenant_id)


async def test_a_client_that_leaves_while_the_cost_is_found_pays_it(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    """The call had come to its end; what is interrupted then is done again."""
    user = api.login()
    async with Calls(holder, [user], seconds=0, cost=25, finding=2):
        await asyncio.to_thread(eventually, lambda: FINDING in holder.text(), 5)
    # Not until nothing is held: the hold may go back at its deadline before it is charged.
    await asyncio.to_thread(eventually, lambda: user.balance()["tokensLeft"] == 75)
    assert user.balance()["tokensHeld"] == 0
    assert holder.text().count(FINDING) == 2
    audit(one.url, api.tenant_id)


async def test_a_cost_that_cannot_be_found_is_not_charged(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    users = [api.login() for _ in range(2)]
    async with Calls(holder, users[:1], seconds=0) as calls:
        assert await asyncio.gather(*calls.tasks) == [200]
    async with Calls(holder, users[1:], seconds=60):
        await until_held(users[1:], 60)
    await until_held(users, 0)
    assert [user.balance()["tokensLeft"] for user in users] == [100] * 2
    assert holder.text().count("The cost of a call could not be found") == 2
    audit(one.url, api.tenant_id)


async def test_a_shutdown_settles_before_it_ends(one: OneServer, holder: Hurried, api: Api) -> None:
    """The calls outlast the grace period: they are cut off, and still settled."""
    users = [api.login() for _ in range(20)]
    async with Calls(holder, users, seconds=60, cost=25):
        await until_held(users, 60)
        holder.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(holder.wait, 10) == 0
    for user in users:
        key = f"user:{user.user_id}"
        stored = str(one.primaries()[0].get(key))
        assert '"holds":{}' in stored
        assert '"tokensLeft":75' in stored
    audit(one.url, api.tenant_id)


async def test_a_settle_gets_through_when_redis_is_back_even_after_the_deadline(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    users = [api.login() for _ in range(10)]
    # Long enough for all of them to begin, on a busy machine too.
    async with Calls(holder, users, seconds=3, cost=25) as calls:
        await until_held(users, 60)
        one.nodes[0].send_signal(signal.SIGSTOP)
        # The replies do not wait for the settles, which repeat past the holds' deadline.
        assert await asyncio.gather(*calls.tasks) == [200] * 10
        await asyncio.sleep(HOLD_SECONDS + 1)
        one.nodes[0].send_signal(signal.SIGCONT)
        await asyncio.to_thread(eventually, holder.is_up, 2)
        deadline = time.monotonic() + 8
        while [user.balance()["tokensUsed"] for user in users] != [25] * 10:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    assert [user.balance()["tokensLeft"] for user in users] == [75] * 10
    assert holder.text().count(FINDING) == 10, "a settle is repeated, its cost is not found anew"
    audit(one.url, api.tenant_id)


async def test_a_hold_whose_outcome_is_unknown_is_released(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    """The call is refused with 503 and not made, and what it may have held goes back."""
    users = [api.login() for _ in range(10)]
    # Scripts wait, what only reads does not: so it is the holds whose outcome is unknown.
    value_of(one.primaries()[0], "CLIENT PAUSE", "1500", "WRITE")
    async with Calls(holder, users, seconds=0, cost=25) as calls:
        assert await asyncio.gather(*calls.tasks) == [503] * 10
    await asyncio.to_thread(eventually, holder.is_up, 5)
    await until_held(users, 0, 8)
    # Valkey forgets commands that it put off when their connection closes; tests/gateway has
    # a hold that is made late.
    assert [user.changes() for user in users] == [[("grant", 100, 100)]] * 10
    audit(one.url, api.tenant_id)


# Of a record and a hold in it: the deadline is put off; the hold is no longer one of ours.
DELAY = """
local user = cjson.decode(redis.call('GET', KEYS[1]))
for _, hold in pairs(user.holds) do hold[2] = hold[2] + 3600000 end
redis.call('SET', KEYS[1], cjson.encode(user), 'KEEPTTL')
"""
DISOWN = DELAY.replace("hold[2] = hold[2] + 3600000", "hold[3] = 'api'")


async def test_only_holds_of_our_own_are_extended_and_none_is_shortened(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    redis = one.primaries()[0]
    users = [api.login() for _ in range(3)]

    def deadlines() -> list[int]:
        records = [json.loads(str(redis.get(f"user:{user.user_id}"))) for user in users]
        return [deadline for stored in records for _, deadline, _ in stored["holds"].values()]

    async with Calls(holder, users, seconds=60, cost=25):
        await until_held(users, 60)
        for script, user in ((DELAY, users[1]), (DISOWN, users[2])):
            redis.eval(script, 1, f"user:{user.user_id}")
        first = deadlines()
        # All holds are extended together.
        await asyncio.to_thread(eventually, lambda: deadlines()[0] > first[0])
        second = deadlines()
        await asyncio.to_thread(eventually, lambda: deadlines()[0] > second[0])
        assert deadlines()[1:] == first[1:]


async def test_a_broken_record_costs_no_other_user_a_hold(
    one: OneServer, holder: Hurried, api: Api
) -> None:
    """And its own call is settled when it is mended: what Redis refuses is repeated, too."""
    redis = one.primaries()[0]
    users = [api.login() for _ in range(10)]
    key = f"user:{users[0].user_id}"
    async with Calls(holder, users, seconds=HOLD_SECONDS + 5, cost=25) as calls:
        await until_held(users, 60)
        record = redis.get(key)
        assert record
        redis.set(key, "broken", keepttl=True)
        await asyncio.sleep(HOLD_SECONDS + 0.5)
        await until_held(users[1:], 60, 0.5)
        assert await asyncio.gather(*calls.tasks) == [200] * 10
        await until_held(users[1:], 0)
        redis.set(key, record, keepttl=True)
        deadline = time.monotonic() + 8
        while [user.balance()["tokensUsed"] for user in users] != [25] * 10:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    assert "A hold could not be extended" in holder.text()
    assert "A settle failed, and is repeated" in holder.text()
    audit(one.url, api.tenant_id)
