"""A server that looks at its calls often, with callbacks, and a double of Ultravox."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.ultravox import UltravoxDouble
from tests.hurried import Hurried
from tests.processes import Valkey, free_port
from tests.timed.caller import Caller

LOOKS = {"timed_look": 0.05, "timed_provider": 2.0}


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Of these tests alone: all servers of a Redis look at the calls that are in it."""
    with Valkey(tmp_path_factory.mktemp("timed")) as valkey:
        yield valkey


@pytest.fixture(scope="session")
def hasty(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    output, port = tmp_path_factory.mktemp("timed-server") / "out", str(free_port())
    url = f"http://127.0.0.1:{port}"
    with Hurried(output, valkey.url, LOOKS, PORT=port, PUBLIC_URL=url) as server:
        yield server


@pytest.fixture(scope="session")
def double() -> Iterator[UltravoxDouble]:
    with UltravoxDouble() as double:
        yield double


@pytest.fixture
def client(hasty: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hasty.url, timeout=20, verify=False) as client:
        yield client


@pytest.fixture
def caller(client: httpx.Client, double: UltravoxDouble, valkey: Valkey) -> Caller:
    """A user with 5,000 tokens of a tenant of its own."""
    return Caller.new(client, double, valkey)
