"""One Valkey and one server (two workers) for all tests that do not break them."""

import gc
from collections.abc import AsyncIterator, Iterator
from itertools import cycle

import httpx
import pytest
from hypothesis import HealthCheck, settings

from server.store.store import Store
from tests.api import Api
from tests.hurried import CLIENTS, Hurried
from tests.processes import Server, Valkey
from tests.redis_link import RedisLink

# How long an example takes depends on what else the machine does.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")

_networks = cycle(range(1, 255))


def pytest_collection() -> None:
    # Collecting makes half a million objects, which stay: to look for garbage among them, again and
    # again, takes a third of its time.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    # As in earnest; without it, each server warns.
    with Valkey(tmp_path_factory.mktemp("valkey"), maxmemory="8gb") as valkey:
        yield valkey


@pytest.fixture(scope="session")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("server") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2") as server:
        yield server


@pytest.fixture(scope="session")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose providers may be doubles."""
    output = tmp_path_factory.mktemp("gateway") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server
    assert "Traceback" not in server.text(), server.text()


@pytest.fixture(scope="session")
def impatient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    output = tmp_path_factory.mktemp("impatient") / "out"
    with Hurried(output, valkey.url, CLIENTS) as impatient:
        yield impatient


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    # From an address of this machine that no other test has: wrong admin tokens are counted by it.
    address = f"127.{next(_networks)}.0.1"
    transport = httpx.HTTPTransport(verify=False, local_address=address)
    with httpx.Client(base_url=server.url, timeout=10, transport=transport) as client:
        yield client


@pytest.fixture
def api(client: httpx.Client) -> Api:
    return Api.new_tenant(client)


@pytest.fixture
def link(valkey: Valkey) -> Iterator[RedisLink]:
    with RedisLink(valkey) as link:
        yield link


@pytest.fixture
def held_up(link: RedisLink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A tenant of a server whose Redis can be held up, by `link`."""
    output = tmp_path_factory.mktemp("held-up") / "out"
    with (
        Server(output, REDIS_URL=link.redis_url, REDIS_TIMEOUT="0.5") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield Api.new_tenant(client)


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    """For what is tested in the test's own process."""
    store = Store(valkey.url, 5)
    await store.start()
    yield store
    await store.close()
