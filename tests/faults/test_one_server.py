"""Faults around a server with one Redis."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.checks import Loss, check
from tests.faults.conftest import traffic_to
from tests.faults.topologies import OneServer, value_of
from tests.faults.traffic import Client, Traffic
from tests.processes import Server, free_port

StartServer = Callable[..., Server]

# Seconds in which the client may still be about to note a reply that was sent before a fault.
ON_ITS_WAY = 0.4
# Redis writes its file each second, and a second later at most when the disk is slow.
LOST_SECONDS = 2

NORMAL = {"200", "201", "402", "429"}


async def test_workers_are_killed(one: OneServer, start_server: StartServer) -> None:
    server = start_server(one.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served()
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
            await traffic.until_served(200)
    await check(one, traffic)


async def test_workers_are_replaced_one_by_one(one: OneServer, start_server: StartServer) -> None:
    """A rolling restart: SIGTERM to each worker, which drains; nothing but normal replies."""
    server = start_server(one.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served()
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGTERM)
            await traffic.until_served(200)
    verdict = await check(one, traffic)
    assert set(traffic.replies()) - NORMAL <= {"ServerDisconnectedError", "ClientOSError"}
    assert verdict.unanswered_but_done == 0, traffic.replies()


async def test_the_server_is_killed_and_started_again(
    one: OneServer, start_server: StartServer
) -> None:
    server = start_server(one.url, PORT=str(free_port()))
    async with traffic_to(server) as traffic:
        await traffic.until_served(300)
        server.signal_group(signal.SIGKILL)
        server.wait()
        start_server(one.url, PORT=server.url.rsplit(":", 1)[1])
        await traffic.until_served(300)
    await check(one, traffic)


async def test_sigterm_under_load_loses_no_reply(one: OneServer, start_server: StartServer) -> None:
    """A request that is not answered was never read: it has changed nothing."""
    server = start_server(one.url)
    traffic = traffic_to(server)
    async with traffic:
        await traffic.until_served(300)
        server.send_signal(signal.SIGTERM)
        traffic.stop()
        assert await asyncio.to_thread(server.wait) == 0
    verdict = await check(one, traffic)
    assert verdict.unanswered_but_done == 0, traffic.replies()
    assert set(traffic.replies()) - NORMAL <= {
        "ServerDisconnectedError",
        "ClientOSError",
        "ClientConnectorError",
    }
    assert server.text().count("Server shutting down") == 1


async def test_redis_is_stopped_for_5_seconds(one: OneServer, start_server: StartServer) -> None:
    server = start_server(one.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served(300)
        one.nodes[0].send_signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        one.nodes[0].send_signal(signal.SIGCONT)
        await traffic.until_served(seconds=2)
    verdict = await check(one, traffic)
    # What waited in Redis' socket was done after all; its callers heard 503.
    print(f"unanswered {verdict.unanswered}, of these done {verdict.unanswered_but_done}")
    assert traffic.replies()["503"] > 0


async def test_connections_are_cut_20_times(one: OneServer, start_server: StartServer) -> None:
    server = start_server(one.url)
    async with traffic_to(server) as traffic:
        for _ in range(20):
            await traffic.until_served(50)
            value_of(one.primaries()[0], "CLIENT KILL", "TYPE", "normal")
        await traffic.until_served(200, 2)
    await check(one, traffic)


async def test_scripts_are_flushed_20_times(one: OneServer, start_server: StartServer) -> None:
    server = start_server(one.url)
    async with traffic_to(server) as traffic:
        for _ in range(20):
            await traffic.until_served(50)
            value_of(one.primaries()[0], "SCRIPT FLUSH", "SYNC")
        await traffic.until_served(50)
    await check(one, traffic)
    assert set(traffic.replies()) <= NORMAL, traffic.replies()


async def _kill_redis(made: OneServer, server: Server) -> tuple[Traffic, float]:
    async with traffic_to(server) as traffic:
        await traffic.until_older_than(LOST_SECONDS + 1)
        made.nodes[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(made.restart)
        await traffic.until_served(seconds=2)
    return traffic, killed_at


async def test_redis_is_killed_with_appendfsync_always(
    one: OneServer, start_server: StartServer
) -> None:
    traffic, _ = await _kill_redis(one, start_server(one.url))
    await check(one, traffic)  # nothing that was answered is missing


async def test_redis_is_killed_with_appendfsync_everysec(
    tmp_path: Path, start_server: StartServer
) -> None:
    made = OneServer(tmp_path / "redis", appendfsync="everysec")
    try:
        traffic, killed_at = await _kill_redis(made, start_server(made.url))
        loss = Loss(killed_at - LOST_SECONDS, killed_at, killed_at + ON_ITS_WAY)
        verdict = await check(made, traffic, loss)
        print(f"everysec: lost {verdict.lost} of {traffic.acknowledged()} acknowledged")
    finally:
        made.stop()


async def test_2000_clients_disconnect_in_the_middle(
    one: OneServer, start_server: StartServer
) -> None:
    server = start_server(one.url)
    traffic = traffic_to(server, users=20)
    async with traffic:
        await traffic.until_served()
        limit = asyncio.Semaphore(100)
        await asyncio.gather(*(_disconnect(traffic.clients[n % 20], limit) for n in range(2000)))
        await traffic.until_served()
    await check(one, traffic)
    assert set(traffic.replies()) <= NORMAL, traffic.replies()
    assert "[ERROR]" not in server.text()


async def _disconnect(client: Client, limit: asyncio.Semaphore) -> None:
    """A charge whose sender is gone at a random moment: cut in the request, or soon after it."""
    intent = client.intent("charge", 1)
    request_id = f"d{id(intent)}"
    intent.request_ids.append(request_id)
    host, port = client.url.removeprefix("http://").rsplit(":", 1)
    head = (
        f"POST /{client.tenant_id}/charges HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: 12\r\n\r\n"
    )
    request = head.encode() + b'{"tokens":1}'
    cut = random.choice((random.randint(0, len(request)), len(request)))
    async with limit:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(request[:cut])
        await asyncio.sleep(random.random() * 0.02)
        writer.transport.abort()
