"""Random lives on each arrangement of Redis, whose events come in any order, while workers are
killed and Redis and Stripe fail: the end is that of a life in which nothing went wrong.

SCHEDULES is how many lives there are on each; in earnest 200.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.doubles.stripe_api import StripeDouble
from tests.faults.topologies import ClusterSet, OneServer, SentinelSet
from tests.processes import ROOT, Server, Valkey
from tests.shop.arrangements import Arrangement, Stored, fail
from tests.shop.lives import Life, Undisturbed
from tests.shop.shop import Shop
from tests.shop.test_reconcile import lines, reconcile

SCHEDULES = int(os.environ.get("SCHEDULES", "12"))
AT_ONCE = 6
BATCH = 20
"""Lives of one server, and one Redis, which fails once."""
PAUSE_SECONDS = 1.5


@pytest.fixture(params=["one", "sentinel", "cluster"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Arrangement]:
    kinds = {"one": OneServer, "sentinel": SentinelSet, "cluster": ClusterSet}
    options = {"appendfsync": "always"} if request.param == "one" else {}
    made: Arrangement = kinds[request.param](tmp_path / "redis", **options)
    yield made
    made.stop()


@pytest.fixture
def busy(made: Arrangement, double: StripeDouble, tmp_path: Path) -> Iterator[Server]:
    settings = {"STRIPE_URL": double.url, "ALLOW_PRIVATE_UPSTREAMS": "1", "WORKERS": "2"}
    output = tmp_path / "out"
    with Server(output, wait=True, REDIS_URL=made.url, **settings) as server:
        yield server


class Pair:
    """One life twice: calm, and with everything against it."""

    def __init__(self, client: httpx.Client, double: StripeDouble, stored: Stored, seed: int):
        valkey = cast(Valkey, stored)
        self.shops = Shop(client, double, valkey), Shop(client, double, valkey)
        self.seed = seed

    def live(self) -> "Pair":
        chance = random.Random(self.seed)
        self.shops[0].listen()
        self.calm = Undisturbed(self.shops[0], self.seed)
        self.calm.live()
        copies = chance.choice([1, 3, 5])
        self.shops[1].listen(copies=copies, hold=True, shuffle=self.seed, delay=1)
        self.wild = Life(self.shops[1], self.seed)
        self.wild.live()
        for fault in ({"status": 500}, {"lose": True}, {"status": 429}):
            times = chance.randrange(4)
            self.shops[1].account.ask("fault", matches="GET /v1/", times=times, **fault)
        return self

    def end(self) -> None:
        """All events are taken, though some only when Stripe delivers them by hand."""
        account = self.shops[1].account
        statuses = account.ask("release")
        for event, answers in statuses.items():
            if 200 not in answers:
                account.ask("resend", id=event)
        self.shops[1].finish()

    def states(self) -> tuple[object, object]:
        return (self.calm.end(), self.calm.paid()), (self.wild.end(), self.wild.paid())


def kill_workers(server: Server, over: threading.Event) -> None:
    while not over.wait(PAUSE_SECONDS):
        for pid in server.worker_pids()[:1]:
            os.kill(pid, signal.SIGKILL)


def look(shop: Shop, *options: str) -> subprocess.CompletedProcess[str]:
    """What reconcile says; again where Stripe still has faults that no event has met."""
    for _ in range(10):
        told = reconcile(shop, "--tenant", shop.api.tenant_id, *options)
        if told.returncode != 2:
            break
    return told


@pytest.mark.parametrize("first", range(0, SCHEDULES, BATCH))
def test_what_fails_changes_nothing(
    made: Arrangement, busy: Server, double: StripeDouble, first: int
) -> None:
    stored, seeds = Stored(made), range(first, min(first + BATCH, SCHEDULES))
    with (
        httpx.Client(base_url=busy.url, timeout=60) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        pairs = [Pair(client, double, stored, seed) for seed in seeds]
        pairs = [*pool.map(Pair.live, pairs)]
        over = threading.Event()
        killing = threading.Thread(target=kill_workers, args=(busy, over))
        killing.start()
        ends = [pool.submit(pair.end) for pair in pairs]
        fail(made)
        for end in ends:
            end.result()
        over.set()
        killing.join()
        for pair in pairs:
            # A replica may lack what its primary had written, which is asked for again.
            options = ("--dry-run",) if isinstance(made, OneServer) else ()
            told = look(pair.shops[1], *options)
            assert told.returncode == 0 or not isinstance(made, OneServer), lines(told)
            calm, wild = pair.states()
            assert calm == wild, pair.seed
    audited = subprocess.run(
        [sys.executable, "-m", "server", "audit"],
        env={"REDIS_URL": made.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert audited.returncode == 0, audited.stdout
