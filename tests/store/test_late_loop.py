"""Something holds up the loop for longer than Redis is waited for: Redis is not to blame."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import Api, User
from tests.callers import Answer, Load
from tests.hurried import BLOCKED, Hurried
from tests.metrics.scrape import scrape
from tests.processes import until
from tests.redis_link import RedisLink

TIMEOUT = 2.0
"""Within which a noisy machine gets all charges on their way and the loop blocked, s."""
BLOCK_SECONDS = 1.5 * TIMEOUT
SLACK = 3.0
"""What a noisy machine may add to a time limit, s."""


@pytest.fixture
def server(link: RedisLink, tmp_path: Path) -> Iterator[Hurried]:
    with Hurried(tmp_path / "out", link.redis_url, {}, REDIS_TIMEOUT=str(TIMEOUT)) as server:
        yield server


@pytest.fixture
def user(server: Hurried) -> Iterator[User]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield Api.new_tenant(client).login()


async def held_up(server: Hurried, link: RedisLink, user: User, answers: bool) -> list[Answer]:
    """Charges that wait for Redis, which answers only while the loop is held up, or never."""
    async with Load(server.url) as load:
        link.hold()
        charges = [asyncio.create_task(load.charge(user)) for _ in range(40)]
        await until(link.is_waiting)
        block = asyncio.create_task(load.call("POST", f"/block/{BLOCK_SECONDS}"))
        await until(lambda: BLOCKED in server.text())
        if answers:
            link.release()
        await block
        return await asyncio.gather(*charges)


async def test_who_waits_meanwhile_is_served(server: Hurried, link: RedisLink, user: User) -> None:
    answers = await held_up(server, link, user, answers=True)
    assert [answer.status for answer in answers] == [200] * 40
    assert user.balance()["tokensLeft"] == 60
    assert "Redis unavailable" not in server.text()
    late = scrape(user.api.client)
    assert (
        late.value("vibe_loop_late_seconds_bucket", le="+Inf")
        - late.value("vibe_loop_late_seconds_bucket", le="1")
        >= 1
    )
    assert late.value("vibe_loop_late_seconds_sum") > BLOCK_SECONDS / 2


async def test_a_redis_that_does_not_answer_is_noticed_all_the_same(
    server: Hurried, link: RedisLink, user: User
) -> None:
    answers = await held_up(server, link, user, answers=False)
    assert {answer.status for answer in answers} == {503}
    assert max(answer.seconds for answer in answers) < BLOCK_SECONDS + TIMEOUT + SLACK
    assert server.text().count("Redis unavailable") == 1
    link.release()
