"""Redis answers slowly: which commands are sent, which are dropped, and who waits for how long.

Each request here is one command: it asks for a tenant that does not exist, which is 400.
"""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.callers import Answer, Load
from tests.processes import Server, Valkey, eventually, until
from tests.raw import connect
from tests.redis_link import RedisLink

TIMEOUT = 3.0
SLACK = 0.7
"""What a noisy machine may add to a time limit, s."""


@pytest.fixture(scope="module")
def link(valkey: Valkey) -> Iterator[RedisLink]:
    with RedisLink(valkey) as link:
        yield link


@pytest.fixture(scope="module")
def server(link: RedisLink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of one worker, so that all requests share its flushes."""
    output = tmp_path_factory.mktemp("slow-redis") / "out"
    with Server(output, REDIS_URL=link.redis_url, REDIS_TIMEOUT=str(TIMEOUT)) as server:
        yield server


@pytest.fixture(autouse=True)
def back_in_the_end(link: RedisLink, client: httpx.Client) -> Iterator[None]:
    yield
    link.release()
    eventually(lambda: client.get("/readyz").status_code == 200)


class Asked:
    """Requests under way, each the only one that asks for its tenant."""

    def __init__(self, load: Load, link: RedisLink) -> None:
        self.load, self.link = load, link

    async def first(self) -> "asyncio.Task[Answer]":
        """The one whose flush holds up those of the others."""
        self.link.hold(b"tenant:first:")
        task = self.ask("first")
        await until(self.link.is_waiting)
        return task

    async def queue(self, tenant: str) -> "asyncio.Task[Answer]":
        """One whose time has begun, since the server has read it."""
        task = self.ask(tenant)
        await self.load.call("GET", "/livez")
        return task

    def ask(self, tenant: str) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self.load.call("GET", f"/{tenant}/balance"))


async def test_a_command_that_had_to_wait_does_not_condemn_the_next_ones(
    server: Server, link: RedisLink
) -> None:
    """A flush fails as a whole when its oldest command has been waiting too long. So one that
    waited for long is not sent, and the young ones have the time that they need."""
    async with Load(server.url) as load:
        asked = Asked(load, link)
        first = await asked.first()
        old = await asked.queue("old")
        await asyncio.sleep(0.6 * TIMEOUT)  # more than half of its time
        young = await asked.queue("young")
        link.let_one_through()
        assert (await first).status == 400
        assert (await old).status == 503
        await until(link.is_waiting)
        await asyncio.sleep(0.6 * TIMEOUT)  # the old one's time is over
        link.release()
        assert (await young).status == 400
    assert b"tenant:young:" in link.passed
    assert b"tenant:old:" not in link.passed


async def test_nobody_waits_longer_than_the_timeout(server: Server, link: RedisLink) -> None:
    """A flush has as long as its oldest command, and who comes after it failed hears so at once."""
    async with Load(server.url) as load:
        asked = Asked(load, link)
        first = await asked.first()
        old = await asked.queue("old")
        await asyncio.sleep(0.2 * TIMEOUT)
        young = await asked.queue("young")
        link.let_one_through()
        assert (await first).status == 400
        answers = [await old, await young, await asked.ask("later")]
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert answers[0].seconds < TIMEOUT + SLACK
    assert answers[1].seconds < TIMEOUT
    assert answers[2].seconds < TIMEOUT / 2


async def test_what_nobody_waits_for_any_more_is_not_sent(server: Server, link: RedisLink) -> None:
    async with Load(server.url) as load:
        asked = Asked(load, link)
        first = await asked.first()
        for number in range(5):
            with connect(server.url) as connection:
                connection.sendall(b"GET /gone-%d/balance HTTP/1.1\r\nHost: test\r\n\r\n" % number)
                # Read, and then its end.
                await load.call("GET", "/livez")
        await load.call("GET", "/livez")
        stays = await asked.queue("stays")
        link.release()
        assert [(await one).status for one in (first, stays)] == [400, 400]
    assert b"tenant:stays:" in link.passed
    assert b"tenant:gone" not in link.passed
