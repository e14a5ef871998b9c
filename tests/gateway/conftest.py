"""One server with every log line, two in a hurry, and two providers of each test's own."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles import Double
from tests.hurried import PROVIDERS, Hurried
from tests.processes import Server, Valkey


@pytest.fixture(scope="session")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of one worker, so that its memory and its metrics are those of the test's calls."""
    output = tmp_path_factory.mktemp("gateway") / "out"
    with Server(
        output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1", LOG_LEVEL="debug"
    ) as server:
        yield server


@pytest.fixture
def client(gateway: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def hasty(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    output = tmp_path_factory.mktemp("hasty") / "out"
    with Hurried(output, valkey.url, PROVIDERS) as hasty:
        yield hasty


@pytest.fixture
def hasty_client(hasty: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hasty.url, timeout=20, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def brief(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    """Waits for the end of a stream no longer than a moment."""
    output = tmp_path_factory.mktemp("brief") / "out"
    with Hurried(output, valkey.url, {"last_usage": 0.6, "leave": 0.3, "idle": 20}) as server:
        yield server


@pytest.fixture
def brief_client(brief: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=brief.url, timeout=15, verify=False) as client:
        yield client


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def other() -> Iterator[Double]:
    """To fall back on."""
    with Double() as double:
        yield double
