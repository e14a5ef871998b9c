"""Fail-over and migration: Sentinel and Cluster."""

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import redis

from tests.api import Api, User
from tests.faults.checks import Loss, check
from tests.faults.conftest import traffic_to
from tests.faults.topologies import REPLICATED, SLOTS, ClusterSet, SentinelSet, value_of
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink

StartServer = Callable[..., Server]

BACK_SECONDS = 5
LEAVE_SECONDS = 1.5
# Seconds in which the client may still be about to note a reply that was sent before a fault.
ON_ITS_WAY = 0.4
# How far a replica may be behind; some milliseconds, but on a busy machine.
LAG_SECONDS = 1


def lost_with_a_primary(killed_at: float) -> Loss:
    """What its replica may not have got."""
    return Loss(killed_at - LAG_SECONDS, killed_at, killed_at + ON_ITS_WAY)


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
        await traffic.until_older_than(2 * LAG_SECONDS)
        old = sentinel.primary_port()
        sentinel.nodes[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await _until(lambda: sentinel.primary_port() != old)
        back = await traffic.until_served(seconds=BACK_SECONDS)
    verdict = await check(sentinel, traffic, lost_with_a_primary(killed_at))
    print(f"sentinel: back after {back:.1f} s, lost {verdict.lost} acknowledged")


def test_a_name_that_leads_to_another_primary(tmp_path: Path, start_server: StartServer) -> None:
    """The old one goes on as a replica, and would refuse each write on its connections."""
    old = Valkey(tmp_path / "old", **REPLICATED)
    new = Valkey(tmp_path / "new", replicaof=f"127.0.0.1 {old.port}", **REPLICATED)
    with old, new, RedisLink(old) as link:
        server = start_server(link.redis_url)
        with httpx.Client(base_url=server.url, timeout=10) as client:
            user = Api.new_tenant(client).login()
            eventually(lambda: new.client.exists(f"user:{user.user_id}"))
            new.client.replicaof("NO", "ONE")
            link.valkey = new
            old.client.replicaof("127.0.0.1", str(new.port))
            eventually(lambda: user.charge().status_code == 200, BACK_SECONDS)
            assert user.changes() == [("grant", 100, 100), ("charge", -1, 99)]
        server.stop()


async def test_a_cluster_primary_is_killed(cluster: ClusterSet, start_server: StartServer) -> None:
    server = start_server(cluster.url)
    async with traffic_to(server) as traffic:
        await traffic.until_older_than(2 * LAG_SECONDS)
        cluster.nodes[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        replica = cluster.nodes[3]
        await _until(lambda: value_of(replica.client, "ROLE")[0] == "master")
        back = await _until_all_served(traffic_clients=traffic.clients, seconds=BACK_SECONDS)
    verdict = await check(cluster, traffic, lost_with_a_primary(killed_at))
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


def test_a_charge_of_a_user_that_is_just_being_moved(
    cluster: ClusterSet, start_server: StartServer
) -> None:
    """Some of its keys, then all, then the slot itself: each time it is charged once."""
    server = start_server(cluster.url, WORKERS="1")
    with httpx.Client(base_url=server.url, timeout=10) as client, ThreadPoolExecutor() as threads:
        user = Api.new_tenant(client).login()
        # All keys that a charge works on: until a slot is moved, a node asks for those it lacks.
        user.charge(1, **{"Idempotency-Key": "one"})
        key, (source, target) = f"user:{user.user_id}", _owner_and_another(cluster, user)
        slot = str(value_of(source.client, "CLUSTER KEYSLOT", key))
        cluster.begin_migration(source, target, slot)
        cluster.move_key(source, target, key)
        charging = threads.submit(user.charge)
        # While the keys are apart, it is told to try again.
        eventually(lambda: "errorstat_TRYAGAIN" in source.client.info("errorstats"))
        for rest in value_of(source.client, "CLUSTER GETKEYSINSLOT", slot, "100"):
            cluster.move_key(source, target, rest)
        assert charging.result().json() == {"tokensLeft": 98}
        assert [user.charge().json()["tokensLeft"] for _ in range(3)] == [97, 96, 95]
        cluster.end_migration(source, target, slot)
        assert user.charge().json() == {"tokensLeft": 94}
        source.client.config_resetstat()
        assert [user.charge().json()["tokensLeft"] for _ in range(3)] == [93, 92, 91]
        assert "errorstat_MOVED" not in source.client.info("errorstats"), "it was told once"
        assert user.changes()[2:] == [("charge", -1, left) for left in range(98, 90, -1)]


def _owner_and_another(cluster: ClusterSet, user: User) -> tuple[Valkey, Valkey]:
    """The primary that has the user, and one that has not."""

    def has_user(node: Valkey) -> bool:
        try:
            return bool(node.client.exists(f"user:{user.user_id}"))
        except redis.ResponseError:  # MOVED
            return False

    first, second = sorted(cluster.nodes[:3], key=has_user, reverse=True)[:2]
    return first, second


def _migrate(cluster: ClusterSet, source: Valkey, target: Valkey) -> int:
    moved = 0
    for number in range(SLOTS // 3):
        slot = str(number)
        if not value_of(source.client, "CLUSTER COUNTKEYSINSLOT", slot):
            continue
        cluster.begin_migration(source, target, slot)
        while keys := value_of(source.client, "CLUSTER GETKEYSINSLOT", slot, "100"):
            for key in keys:
                cluster.move_key(source, target, key)
        cluster.end_migration(source, target, slot)
        moved += 1
    return moved


async def test_a_sentinel_failover_by_command(
    sentinel: SentinelSet, start_server: StartServer
) -> None:
    """A planned one: the old primary goes on accepting writes for 10 s, and forgets them. The
    server must have left it long before."""
    server = start_server(sentinel.url)
    async with traffic_to(server) as traffic:
        await traffic.until_older_than(2 * LAG_SECONDS)
        old = sentinel.primary_port()
        began_at = time.monotonic()
        value_of(sentinel.clients[0], "SENTINEL FAILOVER", "vibe")
        await _until(lambda: sentinel.primary_port() != old)
        left_at = time.monotonic() + LEAVE_SECONDS
        await asyncio.sleep(LEAVE_SECONDS + 1)
        await traffic.until_served(seconds=BACK_SECONDS)
    verdict = await check(sentinel, traffic, Loss(began_at - LAG_SECONDS, began_at, left_at))
    print(f"planned: lost {verdict.lost} acknowledged")
