"""A server whose Google is nanoidp, and whose Apple is emulate's."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import Api, config
from tests.login_providers.signing import GROUP
from tests.login_providers.trip import HOME, PUBLIC_URL
from tests.node import Node
from tests.processes import Server, Valkey
from tests.sign_in_elsewhere.emulate import Emulate
from tests.sign_in_elsewhere.nanoidp import CLIENT, Nanoidp


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nanoidp]:
    with Nanoidp(tmp_path_factory.mktemp("nanoidp"), ["ada", "grace"]) as google:
        yield google


@pytest.fixture(scope="session")
def apple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulate]:
    node = Node(Path(__file__).parent)
    with Emulate(node, tmp_path_factory.mktemp("emulate") / "out") as apple:
        yield apple


@pytest.fixture(scope="session")
def signing(
    valkey: Valkey, google: Nanoidp, apple: Emulate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = {"GOOGLE_URL": google.url, "APPLE_URL": apple.url, "PUBLIC_URL": PUBLIC_URL}
    settings |= {"REDIS_URL": valkey.url, "WORKERS": "2", "ALLOW_PRIVATE_UPSTREAMS": "1"}
    with Server(tmp_path_factory.mktemp("signing") / "out", wait=True, **settings) as server:
        yield server


@pytest.fixture
def app(signing: Server) -> Iterator[Api]:
    auth = {"google_oauth": CLIENT, "apple_oauth": CLIENT, "redirect_uris": [HOME]}
    with httpx.Client(base_url=signing.url, timeout=20) as client:
        yield Api.new_tenant(client, config(**GROUP) | {"auth": auth})
