"""Sessions and chats of one user at a time: all of them together use no more than it has."""

import asyncio
from collections.abc import Iterator
from random import Random

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.doubles.realtime import RealtimeDouble, Service, Turn
from tests.endpoints import endpoint, voice_config
from tests.faults.checks import audit
from tests.processes import Server, Valkey, eventually
from tests.voice_endings.talkers import Talker

TOKENS = 1_000
SESSIONS, CHATS = 2, 20
CUT_OFF = 4402


@pytest.fixture
def chats() -> Iterator[Double]:
    # Its input is no more than what it is estimated to be.
    with Double(Answer(pieces=["word "] * 20, input_tokens=10, pause=0.005)) as double:
        yield double


@pytest.fixture
def api(
    valkey: Valkey, double: RealtimeDouble, chats: Double, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    output = tmp_path_factory.mktemp("together") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1", WORKERS="2") as server,
        httpx.Client(base_url=server.url, timeout=20) as client,
    ):
        value = voice_config(double.url, TOKENS, models=["*"], max_output=100)
        text = {"endpoints": {"text": endpoint(chats.url)}, "default": "text", "fallback": []}
        value["providers"]["text"] = text
        yield Api.new_tenant(client, value)
        assert "Traceback" not in server.text(), server.text()


async def chat(user: User) -> None:
    """Until nothing is left."""
    body = {"model": "", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    base = str(user.api.client.base_url).rstrip("/")
    url = f"{base}/{user.api.tenant_id}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=30) as client:
        while True:
            reply = await client.post(url, json=body, headers=user.headers)
            if reply.status_code == 402:
                return
            error = reply.json().get("error", {})
            assert reply.status_code == 200 or error["code"] == "tokens_held", reply.text


async def test_sessions_and_chats_use_no_more_than_there_is(
    api: Api, double: RealtimeDouble, chats: Double, random: Random, valkey: Valkey
) -> None:
    user = api.login()
    talkers = [
        Talker(user, double.script(f"m-{random.getrandbits(64):x}", service), turns=1_000)
        for service in [Service(turns=(Turn(pause=0.005),))] * SESSIONS
    ]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk())
        # Else twenty chats may have used up all of it before a session is open.
        await asyncio.to_thread(eventually, lambda: double.used() > 0)
        for _ in range(CHATS):
            group.create_task(chat(user))
    assert [talker.code for talker in talkers] == [CUT_OFF] * SESSIONS
    used = double.used() + sum(call.used for call in chats.calls())
    eventually(lambda: user.balance()["tokensHeld"] == 0)
    assert user.balance()["tokensLeft"] == TOKENS - used >= 0
    assert double.used() > 0
    audit(valkey.url, api.tenant_id)


async def test_a_session_that_outlives_its_balance_is_cut(
    api: Api, double: RealtimeDouble, random: Random
) -> None:
    """The rest is spent by others."""
    user = api.login()
    key = double.script(f"m-{random.getrandbits(64):x}", Service(turns=(Turn(pause=0.02),)))
    talker = Talker(user, key, turns=1_000)
    talking = asyncio.create_task(talker.talk())
    await asyncio.to_thread(eventually, lambda: double.used(key) > 0)
    while (await asyncio.to_thread(user.charge, 20)).status_code == 200:
        pass
    await asyncio.wait_for(talking, 30)
    assert talker.code == CUT_OFF
    assert double.used(key) < TOKENS / 2
