"""A server that sells at a double of Stripe's, and is soon tired of waiting for it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.stripe_api import StripeDouble
from tests.hurried import Hurried
from tests.processes import Server, Valkey
from tests.shop.shop import SECONDS, Shop


@pytest.fixture(scope="package")
def double() -> Iterator[StripeDouble]:
    with StripeDouble() as double:
        yield double


@pytest.fixture(scope="package")
def selling(
    valkey: Valkey, double: StripeDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("selling") / "out"
    with Hurried(output, valkey.url, {"stripe": SECONDS}, STRIPE_URL=double.url) as server:
        yield server


@pytest.fixture
def shop(selling: Server, double: StripeDouble, valkey: Valkey) -> Iterator[Shop]:
    with httpx.Client(base_url=selling.url, timeout=30) as client:
        yield Shop(client, double, valkey)


@pytest.fixture
def other_shop(selling: Server, double: StripeDouble, valkey: Valkey) -> Iterator[Shop]:
    with httpx.Client(base_url=selling.url, timeout=30) as client:
        yield Shop(client, double, valkey)
