"""A new version is rolled out under load: no request fails, no stream is cut, the sums are right.

Two servers behind HAProxy, one after the other stopped by SIGTERM and started again, while users
charge, hold, settle and stream answers of 20 seconds: through a proxy that spreads requests over
connections that it keeps, and through one that passes on whole connections.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api import ADMIN, Api
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.faults.checks import check
from tests.faults.topologies import OneServer
from tests.processes import Server, eventually, free_port
from tests.rollout.haproxy import DETECTION_SECONDS, PROGRAM, HAProxy
from tests.rollout.steady import PATHS, Steady, Streamer, Streams

DRAIN_SECONDS = 3
GRACE_SECONDS = 40
INPUT_TOKENS, PIECES, PAUSE = 20, 40, 0.5  # a stream of 20 s
USERS, STREAMERS = 6, 8  # each way
GROUP = {"tokens": 1_000_000, "rate_limit": 10_000, "rate_limit_window": 1}

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs HAProxy (Debian's haproxy)")
assert DRAIN_SECONDS > DETECTION_SECONDS


@dataclass
class Version:
    """A server that can be replaced by one of a new version."""

    folder: Path
    redis_url: str
    port: int
    started: int = 0

    def start(self) -> Server:
        self.started += 1
        return Server(
            self.folder / f"server-{self.port}-{self.started}.out",
            REDIS_URL=self.redis_url,
            PORT=str(self.port),
            WORKERS="2",
            DRAIN_SECONDS=str(DRAIN_SECONDS),
            GRACE_SECONDS=str(GRACE_SECONDS),
            LEDGER_ENTRIES="1000000",
            ALLOW_PRIVATE_UPSTREAMS="1",
        )


class Service:
    """Two servers on one Valkey, HAProxy before them, a double behind them, and a tenant."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.redis = OneServer(folder / "redis", maxmemory="1gb")
        stack.callback(self.redis.stop)
        double = stack.enter_context(Double())
        answer = Answer(pieces=["word "] * PIECES, input_tokens=INPUT_TOKENS, pause=PAUSE)
        self.prompt = double.script("long", answer)
        self._versions = [Version(folder, self.redis.url, free_port()) for _ in range(2)]
        self.ended: list[Server] = []
        self.servers = [stack.enter_context(version.start()) for version in self._versions]
        ports = [version.port for version in self._versions]
        self.proxy = stack.enter_context(HAProxy(folder, ports))
        self.client = stack.enter_context(httpx.Client(base_url=self.proxy.requests_url))
        endpoints = {protocol: endpoint(double.url, protocol) for protocol in PATHS}
        self.api = Api.new_tenant(self.client, text_config(endpoints, anonymous=GROUP, paid=GROUP))

    def replace(self, number: int) -> None:
        """Stops a server in the middle of its streams, and starts a next one on its port."""
        server = self.servers[number]
        server.send_signal(signal.SIGTERM)
        assert open_streams(server) > 0
        assert server.wait(DRAIN_SECONDS + GRACE_SECONDS) == 0
        self.ended.append(server)
        self.servers[number] = self._stack.enter_context(self._versions[number].start())
        eventually(lambda: self.proxy.is_used(number))

    def stop(self) -> None:
        for server in self.servers:
            assert server.stop() == 0
            self.ended.append(server)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(tmp_path, stack)


async def test_no_request_fails_and_no_stream_is_cut(service: Service) -> None:
    ways = (service.proxy.requests_url, service.proxy.connections_url)
    tenant_id = service.api.tenant_id
    loads = [Steady(url, tenant_id, USERS) for url in ways]
    streams = [Streams(url, tenant_id, STREAMERS, service.prompt, PIECES) for url in ways]
    async with AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        for way in streams:
            await stack.enter_async_context(way)
        for number in range(len(service.servers)):
            await asyncio.to_thread(eventually, lambda: all(map(Streams.are_under_way, streams)))
            await asyncio.to_thread(service.replace, number)
            await asyncio.gather(*(load.until_served(100) for load in loads))
    _print(loads, streams)
    assert [load.failures() for load in loads] == [{}, {}]
    assert [failure for way in streams for failure in way.failures()] == []
    for way in streams:
        for streamer in way.streamers:
            check_sum(service.client, tenant_id, streamer)
    for load in loads:
        verdict = await check(service.redis, load)
        assert verdict.unanswered == 0
    await asyncio.to_thread(service.stop)
    for server in service.ended:
        assert not re.search(r"\[WARN|\[ERROR|Traceback", server.text()), server.text()


def open_streams(server: Server) -> int:
    text = httpx.get(f"{server.url}/metrics", headers=ADMIN).text
    found = re.search(r"^vibe_open_streams (\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def check_sum(client: httpx.Client, tenant_id: str, streamer: Streamer) -> None:
    """The user was charged what the streams said, and nothing is held any more."""
    balance = client.get(f"/{tenant_id}/balance", headers=streamer.headers).json()
    assert streamer.told == streamer.whole * (PIECES + INPUT_TOKENS) > 0
    assert (balance["tokensUsed"], balance["tokensHeld"]) == (streamer.told, 0)


def _print(loads: list[Steady], streams: list[Streams]) -> None:
    for name, load, way in zip(("requests", "connections"), loads, streams, strict=True):
        whole = sum(streamer.whole for streamer in way.streamers)
        print(f"by {name}: {load.replies()}, failed {load.failures()}, {whole} whole streams")
