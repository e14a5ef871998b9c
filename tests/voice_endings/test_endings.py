"""Each kind of end, so many times."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import httpx

from tests.api import Api
from tests.doubles.realtime import ENDS, RealtimeDouble, Service, Turn
from tests.endpoints import voice_config
from tests.hurried import HOLDS, Hurried
from tests.processes import Valkey, until, until_up
from tests.redis_link import RedisLink
from tests.voice_endings.checks import check
from tests.voice_endings.conftest import ENDINGS
from tests.voice_endings.talkers import TOKENS, Crowd

AT_A_TIME = 20
"""Whose worker ends."""
WORDS = tuple(f"word{number} " for number in range(12))
EVENTS = 60
"""About as many as two turns are."""
ENDLESS = 10**6
"""Turns."""
REDIS_SECONDS = 0.5
"""After which it counts as away."""
HURRIED = {"let_end": 0.3, "read_on": 2, "created": 2}
SETTINGS = {"GRACE_SECONDS": "5", "WORKERS": "1", "REDIS_TIMEOUT": str(REDIS_SECONDS)}
PROVIDERS_ENDS = ("going away", "server_error", "insufficient_quota", "session_expired", "normal")


def a_turn(random: Random) -> Turn:
    pieces = WORDS[: random.randint(1, len(WORDS))]
    # The delay: a ledger, of which all is read, has 200 entries.
    return Turn(pieces=pieces, delay=0.05, pause=random.choice((0, 0.005, 0.02, 0.1)))


def talks(random: Random) -> Service:
    return Service(turns=tuple(a_turn(random) for _ in range(4)))


def breaks(random: Random) -> Service:
    """A turn or two, and one in which the provider vanishes, or ends the session."""
    step = random.randint(0, len(WORDS) + 1)
    end = ENDS[random.choice(PROVIDERS_ENDS)]
    how = (
        Turn(pieces=WORDS, pause=0.01, cut_at=step)
        if random.random() < 0.5
        else Turn(pieces=WORDS, pause=0.01, end_at=step, end=end)
    )
    return Service(turns=(*(a_turn(random) for _ in range(random.randint(0, 2))), how))


@contextmanager
def tenant(
    output: Path, redis_url: str, double: RealtimeDouble, **timeouts: float
) -> Iterator[tuple[Hurried, Api]]:
    hurried = {**HURRIED, **timeouts}
    with (
        Hurried(output, redis_url, hurried, **SETTINGS) as server,
        httpx.Client(base_url=server.url, timeout=20) as client,
    ):
        value = voice_config(double.url, TOKENS, models=["*"], max_output=200)
        yield server, Api.new_tenant(client, value)
        assert "Traceback" not in server.text(), server.text()


async def test_clients_vanish(
    valkey: Valkey, double: RealtimeDouble, random: Random, tmp_path: Path
) -> None:
    with tenant(tmp_path / "out", valkey.url, double) as (_, api):
        crowd = Crowd(api, double, random, ENDINGS, talks)
        for talker in crowd.talkers:
            talker.leaves_at = random.randint(1, EVENTS)
        await crowd.talk()
        check(crowd, valkey.url)


async def test_providers_vanish(
    valkey: Valkey, double: RealtimeDouble, random: Random, tmp_path: Path
) -> None:
    with tenant(tmp_path / "out", valkey.url, double) as (_, api):
        crowd = Crowd(api, double, random, ENDINGS, breaks)
        await crowd.talk()
        assert {talker.code for talker in crowd.talkers} <= {1001, 1011}
        # All but those whose beginning was lost, too.
        assert check(crowd, valkey.url) > ENDINGS / 4


async def test_workers_are_drained(
    valkey: Valkey, double: RealtimeDouble, random: Random, tmp_path: Path
) -> None:
    with tenant(tmp_path / "other", valkey.url, double) as (_, other):
        for number in rounds():
            with tenant(tmp_path / f"out-{number}", valkey.url, double) as (server, api):
                crowd = Crowd(api, double, random, AT_A_TIME, talks, turns=ENDLESS)
                async with interrupted(crowd, random):
                    server.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(server.wait) == 0
            assert {talker.code for talker in crowd.talkers} == {1001}
            crowd.move(other.client)
            check(crowd, valkey.url)


async def test_workers_are_killed(
    valkey: Valkey, double: RealtimeDouble, random: Random, tmp_path: Path
) -> None:
    with tenant(tmp_path / "out", valkey.url, double, **HOLDS) as (server, api):
        for _ in rounds():
            crowd = Crowd(api, double, random, AT_A_TIME, talks, turns=ENDLESS)
            async with interrupted(crowd, random):
                for pid in server.worker_pids():
                    os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(until_up, server)
            check(crowd, valkey.url, may_be_lost=True)


async def test_redis_is_away(
    valkey: Valkey, double: RealtimeDouble, random: Random, tmp_path: Path, link: RedisLink
) -> None:
    with tenant(tmp_path / "out", link.redis_url, double) as (_, api):
        for _ in rounds():
            crowd = Crowd(api, double, random, AT_A_TIME, talks, turns=8)
            async with interrupted(crowd, random):
                link.hold()
                await asyncio.sleep(random.uniform(0, 3 * REDIS_SECONDS))
                link.release()
            assert {talker.code for talker in crowd.talkers} == {None}
            check(crowd, valkey.url)


def rounds() -> range:
    return range(-(-ENDINGS // AT_A_TIME))


@asynccontextmanager
async def interrupted(crowd: Crowd, random: Random) -> AsyncIterator[None]:
    """The body runs while they talk; what it leaves of them comes to its end afterwards."""
    talking = asyncio.create_task(crowd.talk())
    await until(crowd.are_speaking)
    await asyncio.sleep(random.uniform(0, 1))
    yield
    await talking
