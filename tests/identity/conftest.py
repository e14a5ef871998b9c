"""A server behind a proxy, with low limits for logins."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api
from tests.doubles.sign_in import SignInDouble
from tests.identity.logins import PER_HOUR, PER_MINUTE, PROXY_SECRET
from tests.login_providers.signing import App
from tests.processes import Server, Valkey


@pytest.fixture(scope="package")
def behind_proxy(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A server of its own, two workers behind a declared proxy, with a low limit."""
    output = tmp_path_factory.mktemp("behind-proxy") / "out"
    with (
        Server(
            output,
            REDIS_URL=valkey.url,
            WORKERS="2",
            PROXIES_COUNT="1",
            FORWARDED_SECRET=PROXY_SECRET,
            ANONYMOUS_LOGINS_PER_MINUTE=str(PER_MINUTE),
            ANONYMOUS_LOGINS_PER_HOUR=str(PER_HOUR),
            USER_TTL_DAYS="2",
        ) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def limited(behind_proxy: httpx.Client) -> Api:
    return Api.new_tenant(behind_proxy)


@pytest.fixture(scope="package")
def double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture(scope="package")
def signing(
    valkey: Valkey, double: SignInDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Two workers, whose users sign in at the double."""
    output = tmp_path_factory.mktemp("signing") / "out"
    env = {"REDIS_URL": valkey.url, "WORKERS": "2", "LOGINS_PER_MINUTE": "0", **double.settings}
    with (
        Server(output, wait=True, **env) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def app(signing: httpx.Client, double: SignInDouble) -> App:
    return App(signing, double)
