"""Sessions and chats of one user at a time share its balance, and use no more than that."""

import asyncio
import hashlib
from collections.abc import Iterator

import httpx
import pytest

from server.who import RestrictedKey, Who
from tests.api import User
from tests.doubles import Answer, Double
from tests.doubles.realtime import RealtimeDouble, Service, Turn
from tests.gateway.asking import ask, user_at
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey, eventually
from tests.voice.conftest import Open, Talk, refs

TOKENS = 1_000
CHATS = 20
ERROR = 20
"""Of an estimate, for a turn."""


@pytest.fixture(scope="module")
def client(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    output = tmp_path_factory.mktemp("together") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


async def _speak_on(one: Talk) -> None:
    """Until it is cut off, or there is nothing to speak for."""
    for number in range(1, 200):
        one.client.say("response.create")
        await one.client.wait(
            lambda number=number: (
                one.client.code  # type: ignore[misc]
                or len(one.client.of("rate_limits.updated")) + len(one.client.of("error")) >= number
            )
        )
        if one.client.code is not None:
            return
    raise AssertionError("it was never cut off")


def _who(user: User) -> Who:
    digest = hashlib.sha256(user.api_key.encode()).hexdigest()[:32]
    key = RestrictedKey(digest, None, None)
    return Who(user.api.tenant_id, user.user_id, user.api_key, key)


async def test_two_sessions_and_twenty_chats(
    client: httpx.Client, valkey: Valkey, double: RealtimeDouble, talk: Open
) -> None:
    turn = Turn(pieces=("word ",) * 30, pause=0.002)
    key = double.script("together", Service(turns=(turn,)))
    with Double() as chats:
        user = user_at(client, chats.url, tokens=TOKENS)
        prompt = chats.script("chat", Answer())
        sessions = [await talk(user, key) for _ in range(2)]
        chatting = [asyncio.to_thread(ask, user, prompt) for _ in range(CHATS)]
        replies, _ = await asyncio.gather(
            asyncio.gather(*chatting), asyncio.gather(*map(_speak_on, sessions))
        )
    for one in sessions:
        await one.ending()
        await one.holding.finish(asyncio.get_running_loop().time() + 5)
        assert one.client.code == 4402
    await asyncio.to_thread(eventually, lambda: user.balance()["tokensHeld"] == 0)
    balance = user.balance()
    paid = [reply.json()["usage"]["total_tokens"] for reply in replies if reply.status_code == 200]
    total = double.used(key) + sum(paid)
    assert balance["tokensUsed"] == min(total, TOKENS)
    assert total <= TOKENS + 2 * ERROR
    assert len({ref["response"] for ref in refs(user) if "response" in ref}) == len(
        [ref for ref in refs(user) if "response" in ref]
    )
    assert audit(valkey, user.api).returncode == 0


async def test_a_restricted_key_bounds_its_session(
    client: httpx.Client, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("restricted", Service(turns=(Turn(pieces=("word ",) * 100),)))
    user = user_at(client, double.url, tokens=TOKENS)
    restricted = user.restricted(tokens=100, expiresIn=600)
    one = await talk(user, key, who=_who(restricted))
    await _speak_on(one)
    await one.ending()
    assert user.balance()["tokensUsed"] == double.used(key) <= 100
    assert user.balance()["tokensLeft"] >= TOKENS - 100
    assert one.client.of("rate_limits.updated")[-1]["rate_limits"][0]["remaining"] < 100


async def test_a_long_session_leaves_nothing(
    client: httpx.Client, double: RealtimeDouble, talk: Open
) -> None:
    """Of its turns the session keeps no more than some IDs."""
    key = double.script("long", Service(turns=(Turn(pieces=("word ",)),)))
    user = user_at(client, double.url, tokens=10_000_000).become_permanent()
    user.grant({"tokens": 10_000_000})
    one = await talk(user, key)
    for number in range(1, 41):
        one.client.say("response.create")
        await one.client.until("rate_limits.updated", number)
    responses = one.session._responses
    assert not responses.lives._tasks
    assert not responses._running
    assert not responses._asked
    assert user.balance()["tokensUsed"] == double.used(key)
    assert "org-" not in str(one.client.events)
