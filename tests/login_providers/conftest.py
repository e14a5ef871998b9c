"""A server that signs in at a double, and is soon tired of waiting for it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.sign_in import SignInDouble
from tests.hurried import Hurried
from tests.login_providers.signing import PER_MINUTE, PROVIDERS, SECONDS, App
from tests.login_providers.trip import PUBLIC_URL, REDIRECT_URIS
from tests.processes import Valkey


@pytest.fixture(scope="package")
def double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture(scope="package")
def other_double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture
def own(other_double: SignInDouble) -> SignInDouble:
    """As new, and not that of the server."""
    other_double.reset()
    return other_double


@pytest.fixture(scope="package")
def signing(
    valkey: Valkey, double: SignInDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hurried]:
    """Of one worker, so that it alone asks the double; behind a proxy that tells addresses."""
    output = tmp_path_factory.mktemp("signing") / "out"
    settings = {"PROXIES_COUNT": "1", "LOGINS_PER_MINUTE": str(PER_MINUTE), **double.settings}
    settings["PUBLIC_URL"] = f"{PUBLIC_URL}/"
    with Hurried(output, valkey.url, {"login_provider": SECONDS}, **settings) as server:
        yield server


@pytest.fixture(scope="package")
def caller(signing: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=signing.url, timeout=10) as client:
        yield client


@pytest.fixture
def app(caller: httpx.Client, double: SignInDouble) -> App:
    return App(caller, double)


@pytest.fixture
def site(caller: httpx.Client, double: SignInDouble) -> App:
    """An app whose users sign in by redirect."""
    double.reset()
    site = App(caller, double, redirect_uris=REDIRECT_URIS)
    for provider in PROVIDERS:
        site.at(provider).client(site.web, secret=site.secret)
    return site
