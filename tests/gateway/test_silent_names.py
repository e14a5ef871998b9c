"""A tenant's endpoints have names whose DNS is silent: nobody else waits for them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.upstream.addresses import LOOK_UP_SECONDS
from tests.api import Api, User
from tests.doubles import Double
from tests.endpoints import text_config
from tests.gateway.asking import TOKENS, ask, user_at, user_of
from tests.hurried import Hurried
from tests.processes import Valkey, eventually

CONNECT_SECONDS = 1.0
NAMES = 40


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("silent-valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    """It knows Redis by name, as is usual."""
    output = tmp_path_factory.mktemp("silent") / "out"
    url = valkey.url.replace("127.0.0.1", "localhost")
    with Hurried(output, url, {"connect": CONNECT_SECONDS}) as server:
        yield server


@pytest.fixture
def client(server: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20, verify=False) as client:
        yield client


def silent(scheme: str = "http", count: int = NAMES) -> dict[str, dict[str, str]]:
    """Endpoints, each with a name of its own."""
    return {
        f"n{n}": {"url": f"{scheme}://{n}.silent.example/", "default_model": f"m{n}"}
        for n in range(count)
    }


def call_all(user: User) -> set[int]:
    """The statuses of calls to all of these endpoints at once."""
    with ThreadPoolExecutor(NAMES) as pool:
        calls = [pool.submit(ask, user, "Hi", model=f"m{n}") for n in range(NAMES)]
        return {call.result().status_code for call in calls}


def at_a_name(client: httpx.Client, double: Double) -> User:
    return user_at(client, double.url.replace("127.0.0.1", "localhost"))


def test_other_tenants_are_served_and_redis_comes_back(
    client: httpx.Client, valkey: Valkey, double: Double
) -> None:
    hostile, honest = user_of(client, silent(), tokens=100 * TOKENS), at_a_name(client, double)
    for _ in range(2):
        began = time.monotonic()
        assert call_all(hostile) == {502}
        assert time.monotonic() - began < 8 * CONNECT_SECONDS, "they wait for each other"
    assert hostile.balance()["tokensLeft"] == 100 * TOKENS
    began = time.monotonic()
    assert ask(honest, "Hi").status_code == 200
    valkey.client.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: honest.charge().status_code == 200, 2)
    assert time.monotonic() - began < 10


def test_a_config_of_silent_names(valkey: Valkey, tmp_path: Path) -> None:
    """It is stored as if they did not resolve. The server does not wait for them at its end."""
    settings = {"ALLOW_PRIVATE_UPSTREAMS": "0", "GRACE_SECONDS": "5"}
    with Hurried(tmp_path / "out", valkey.url, {}, **settings) as server:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            api = Api.new_tenant(client)
            began = time.monotonic()
            assert api.put_config(text_config(silent("https", 700))).status_code == 200
            assert time.monotonic() - began < LOOK_UP_SECONDS + 10, "one after the other"
            private = {"x": {"url": "https://localhost.:1/"}}
            assert Api.new_tenant(client).put_config(text_config(private)).status_code == 422
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10, "it waited for them"
    assert "Traceback" not in server.text()
