"""Fail-over and migration: Sentinel and Cluster."""

import asyncio
import signal
import time
from collections.abc import Callable

from tests.faults.checks import check
from tests.faults.conftest import traffic_to
from tests.faults.topologies import SLOTS, ClusterSet, SentinelSet, value_of
from tests.processes import Server, Valkey

StartServer = Callable[..., Server]

BACK_SECONDS = 5
LEAVE_SECONDS = 1.5
# Seconds in which the client may still be about to note a reply that was sent before a fault.
ON_ITS_WAY = 0.4


async def _until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_sentinels_primary_is_killed(
    sentinel: SentinelSet, start_server: StartServer
) -> None:
    server = start_server(sentinel.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served(500)
        old = sentinel.primary_port()
        sentinel.nodes[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await _until(lambda: sentinel.primary_port() != old)
        back = await traffic.until_served(seconds=BACK_SECONDS)
    verdict = await check(sentinel, traffic, lossy=(killed_at, killed_at + ON_ITS_WAY))
    print(f"sentinel: back after {back:.1f} s, lost {verdict.lost} acknowledged")


async def test_a_cluster_primary_is_killed(cluster: ClusterSet, start_server: StartServer) -> None:
    server = start_server(cluster.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served(500)
        cluster.nodes[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        replica = cluster.nodes[3]
        await _until(lambda: value_of(replica.client, "ROLE")[0] == "master")
        back = await _until_all_served(traffic_clients=traffic.clients, seconds=BACK_SECONDS)
    verdict = await check(cluster, traffic, lossy=(killed_at, killed_at + ON_ITS_WAY))
    print(f"cluster: back after {back:.1f} s, lost {verdict.lost} acknowledged")


async def _until_all_served(traffic_clients: list, seconds: float) -> float:  # type: ignore[type-arg]
    """Every user is served again, whichever primary has it."""
    start = time.monotonic()

    def served(client) -> bool:  # type: ignore[no-untyped-def]
        return any(i.acknowledged_at and i.acknowledged_at > start for i in client.intents[-20:])

    while not all(served(client) for client in traffic_clients):
        assert time.monotonic() < start + seconds, "a user is not served"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def test_slots_migrate_under_load(cluster: ClusterSet, start_server: StartServer) -> None:
    """All slots of one primary that have users move to another, key by key."""
    server = start_server(cluster.url)
    source, target = cluster.nodes[0], cluster.nodes[1]
    async with traffic_to(server) as traffic:
        await traffic.until_served(500)
        moved = await asyncio.to_thread(_migrate, cluster, source, target)
        back = await _until_all_served(traffic.clients, BACK_SECONDS)
    await check(cluster, traffic)
    print(f"migrated {moved} slots, all served {back:.1f} s after; {traffic.replies()}")
    assert moved > 0


def _migrate(cluster: ClusterSet, source: Valkey, target: Valkey) -> int:
    source_id, target_id = cluster.node_id(source), cluster.node_id(target)
    moved = 0
    for slot in range(SLOTS // 3):
        if not value_of(source.client, "CLUSTER COUNTKEYSINSLOT", str(slot)):
            continue
        value_of(target.client, "CLUSTER SETSLOT", str(slot), "IMPORTING", source_id)
        value_of(source.client, "CLUSTER SETSLOT", str(slot), "MIGRATING", target_id)
        while keys := value_of(source.client, "CLUSTER GETKEYSINSLOT", str(slot), "100"):
            for key in keys:
                arguments = ("127.0.0.1", str(target.port), key, "0", "5000")
                value_of(source.client, "MIGRATE", *arguments)
        for node in (target, source, *cluster.nodes[2:3]):
            value_of(node.client, "CLUSTER SETSLOT", str(slot), "NODE", target_id)
        moved += 1
    return moved


async def test_a_sentinel_failover_by_command(
    sentinel: SentinelSet, start_server: StartServer
) -> None:
    """A planned one: the old primary goes on accepting writes for 10 s, and forgets them. The
    server must have left it long before."""
    server = start_server(sentinel.url)
    async with traffic_to(server) as traffic:
        await traffic.until_served(300)
        old = sentinel.primary_port()
        began_at = time.monotonic()
        value_of(sentinel.clients[0], "SENTINEL FAILOVER", "vibe")
        await _until(lambda: sentinel.primary_port() != old)
        left_at = time.monotonic() + LEAVE_SECONDS
        await asyncio.sleep(LEAVE_SECONDS + 1)
        await traffic.until_served(seconds=BACK_SECONDS)
    verdict = await check(sentinel, traffic, lossy=(began_at, left_at))
    print(f"planned: lost {verdict.lost} acknowledged")
