"""Servers of four workers on each arrangement of Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import Api, config
from tests.doubles import Double
from tests.faults.topologies import ClusterSet, OneServer, SentinelSet
from tests.faults.traffic import Traffic
from tests.hurried import HOLDS, Hurried
from tests.processes import Server, Valkey

USERS = 40
LEDGER_ENTRIES = "1000000"
GROUP = {"tokens": 1_000, "rate_limit": 10_000, "rate_limit_window": 1}


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OneServer]:
    made = OneServer(tmp_path / "redis", appendfsync="always")
    yield made
    made.stop()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[SentinelSet]:
    made = SentinelSet(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterSet]:
    made = ClusterSet(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def patient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("patient") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2", ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture(scope="module")
def hurried(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("hurried") / "out"
    # A busy machine may take seconds to the first byte of a hundred calls at once.
    timeouts = {"first_byte": 20, "idle": 1.5, "read_on": 0.3}
    with Hurried(output, valkey.url, timeouts, WORKERS="2") as server:
        yield server


@pytest.fixture(scope="module")
def soon_tired(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of waiting for a first byte."""
    output = tmp_path_factory.mktemp("soon-tired") / "out"
    timeouts = {"first_byte": 0.8, "idle": 0.8}
    with Hurried(output, valkey.url, timeouts, WORKERS="2") as server:
        yield server


@pytest.fixture(scope="module")
def mortal(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("mortal") / "out"
    # Calls wait for each other, some of them for their usage.
    with Hurried(output, valkey.url, HOLDS | {"last_usage": 60}, WORKERS="2") as server:
        yield server


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of four workers, and stops them in the end."""
    started: list[Server] = []

    def start(url: str, **settings: str) -> Server:
        defaults = {"WORKERS": "4", "LEDGER_ENTRIES": LEDGER_ENTRIES}
        output = tmp_path / f"server-{len(started)}.out"
        started.append(Server(output, REDIS_URL=url, **(defaults | settings)))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop()
        assert "Traceback" not in server.text(), server.text()


def new_tenant(server: Server) -> str:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        return Api.new_tenant(client, config(anonymous=GROUP, paid=GROUP)).tenant_id


def traffic_to(server: Server, users: int = USERS) -> Traffic:
    return Traffic(server.url, new_tenant(server), users)
