"""An app that asks through a server with an official SDK."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.doubles import Double
from tests.gateway.sdks import PROTOCOLS, App, app_at
from tests.processes import Server, Valkey


@pytest.fixture(scope="module")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("sdks") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture(params=PROTOCOLS)
def app(gateway: Server, double: Double, request: pytest.FixtureRequest) -> Iterator[App]:
    """Its provider speaks one protocol, then the other."""
    with app_at(gateway.url, double, request.param) as app:
        yield app


@pytest.fixture
def key() -> str:
    return uuid4().hex
