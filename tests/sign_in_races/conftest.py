"""One arrangement of Redis after the other, each with a server of two workers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.doubles.sign_in import SignInDouble
from tests.faults.topologies import ClusterSet, OneServer, SentinelSet
from tests.processes import Server
from tests.sign_in_races.site import WORKERS, Site

LEDGER_ENTRIES = "1000000"
ARRANGEMENTS: dict[str, Callable[[Path], OneServer | SentinelSet | ClusterSet]] = {
    "one": OneServer,
    "sentinel": SentinelSet,
    "cluster": ClusterSet,
}


@pytest.fixture(scope="session")
def double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture(scope="session", params=list(ARRANGEMENTS))
def arranged(
    request: pytest.FixtureRequest, double: SignInDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    made = ARRANGEMENTS[request.param](folder)
    settings = {
        "REDIS_URL": made.url,
        "REDIS_TIMEOUT": "5",
        "WORKERS": str(WORKERS),
        "LEDGER_ENTRIES": LEDGER_ENTRIES,
        **double.settings,
    }
    try:
        with (
            Server(folder / "server.out", wait=True, **settings) as server,
            httpx.Client(
                base_url=server.url, timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
            ) as http,
        ):
            yield Site(made, server, double, http)
        assert "Traceback" not in server.text(), server.text()
    finally:
        made.stop()


@pytest.fixture
def site(arranged: Site) -> Site:
    arranged.forget_all()
    return arranged
