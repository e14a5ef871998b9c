"""Buyers, and what works on them in-process."""

from collections.abc import AsyncIterator

import pytest

from server.billing.payments import Payments
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.store.store import Store
from tests.api import Api
from tests.billing.buyers import Buyer
from tests.processes import Valkey


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    store = Store(valkey.url, 5)
    await store.start()
    yield store
    await store.close()


@pytest.fixture
def buyer(api: Api, valkey: Valkey, store: Store) -> Buyer:
    meter = Meter(store, 200, Renewal(store, 200, 1_000_000))
    return Buyer(api, valkey, Payments(store, 200), meter)
