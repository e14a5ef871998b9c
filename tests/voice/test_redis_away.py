"""Redis does not answer while people speak: nothing runs that is not held."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.store.store import Store
from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Turn
from tests.processes import eventually
from tests.redis_link import RedisLink
from tests.voice.conftest import Open, refs, user_with


@pytest.fixture
async def store(link: RedisLink) -> AsyncIterator[Store]:
    """As the others', at a Redis that can be held up."""
    store = Store(link.redis_url, 0.2)
    await store.start()
    yield store
    link.release()
    await store.close()


async def test_it_comes_back(api: Api, double: RealtimeDouble, talk: Open, link: RedisLink) -> None:
    key = double.script("back", Service())
    user = user_with(api, 10_000)
    one = await talk(user, key)
    link.hold()
    one.client.say("response.create", event_id="mine")
    error = (await one.client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("service_unavailable", "mine")
    assert not one.upstream.of("response.create")
    link.release()

    async def answered() -> None:
        while not one.client.of("response.done"):
            one.client.say("response.create")
            await asyncio.sleep(0.1)

    await asyncio.wait_for(answered(), 10)
    await one.client.until("rate_limits.updated")
    await asyncio.to_thread(eventually, lambda: user.balance()["tokensHeld"] == 0)
    assert user.balance()["tokensUsed"] == double.used(key)
    assert one.client.code is None


async def test_it_does_not_come_back(
    api: Api, double: RealtimeDouble, talk: Open, link: RedisLink
) -> None:
    key = double.script("away", Service())
    one = await talk(user_with(api, 10_000), key)
    link.hold()
    one.client.say("response.create")
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("unavailable", 1013)
    assert one.client.reason == "service_unavailable"
    assert not one.upstream.of("response.create")
    link.release()


async def test_a_settle_gets_through_in_the_end(
    api: Api, double: RealtimeDouble, talk: Open, link: RedisLink
) -> None:
    key = double.script("late", Service(turns=(Turn(stop_at=2),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("response.created")
    link.hold()
    one.client.leave()
    await one.ending()
    link.release()
    await one.holding.finish(asyncio.get_running_loop().time() + 10)
    assert user.balance()["tokensUsed"] == double.used(key) > 0
    assert len(refs(user)) == 1
