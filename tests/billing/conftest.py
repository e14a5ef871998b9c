"""Buyers, and what works on them in-process."""

import pytest

from server.billing.payments import Payments
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.store.store import Store
from tests.api import Api
from tests.billing.buyers import Buyer
from tests.processes import Valkey


@pytest.fixture
def buyer(api: Api, valkey: Valkey, store: Store) -> Buyer:
    meter = Meter(store, 200, Renewal(store, 200, 1_000_000))
    return Buyer(api, valkey, Payments(store, 200), meter)
