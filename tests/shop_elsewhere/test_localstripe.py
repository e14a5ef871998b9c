"""Selling at localstripe, as far as that is a Stripe: customers, subscriptions, paid invoices,
refunds, and events that are signed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.processes import Server, Valkey, eventually
from tests.shop.shop import BASIC, FREE, SECRET, Shop, ShopUser, group
from tests.shop_elsewhere.localstripe import Localstripe, Today

PLAN = "stripe_basic"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localstripe]:
    with Localstripe(tmp_path_factory.mktemp("localstripe") / "out") as elsewhere:
        plan = {"amount": 1_000, "currency": "usd", "interval": "month", "name": "Basic"}
        elsewhere.ask("/v1/plans", id=PLAN, **plan)
        yield elsewhere


@pytest.fixture(scope="module")
def selling(
    valkey: Valkey, elsewhere: Localstripe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with Today(elsewhere.url) as today:
        settings = {"REDIS_URL": valkey.url, "STRIPE_URL": today.url, "WORKERS": "2"}
        settings |= {"ALLOW_PRIVATE_UPSTREAMS": "1"}
        output = tmp_path_factory.mktemp("selling") / "out"
        with Server(output, wait=True, **settings) as server:
            yield server


class ShopElsewhere(Shop):
    def __init__(self, client: httpx.Client, elsewhere: Localstripe, valkey: Valkey) -> None:
        self.valkey, self.elsewhere = valkey, elsewhere
        stripe = {"api_key": "sk_test_any", "webhook_secret": SECRET}
        groups = {name: group(FREE) for name in ("anonymous", "google_logged_in")}
        groups[PLAN] = group(BASIC)
        auth: dict[str, Any] = {"stripe": stripe}
        self.config = {"auth": auth, "user_groups": groups, "providers": {}}
        self.api = Api.new_tenant(client, self.config)

    def customer(self) -> ShopUser:
        """A buyer that our server has made a customer there; of sessions it knows nothing."""
        buyer = self.buyer()
        assert buyer.checkout(plan=PLAN).status_code == 502
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        fields = {f"card__{name}": value for name, value in card.items()}
        method = self.elsewhere.ask("/v1/payment_methods", type="card", **fields)["id"]
        customer = f"/v1/customers/{buyer.customer_id}"
        self.elsewhere.ask(f"/v1/payment_methods/{method}/attach", customer=buyer.customer_id)
        self.elsewhere.ask(customer, invoice_settings__default_payment_method=method)
        return buyer

    def subscribe(self, buyer: ShopUser) -> str:
        metadata = {"tenant": self.api.tenant_id, "user": buyer.user_id, "plan": PLAN}
        fields = {f"metadata__vibe_{name}": value for name, value in metadata.items()}
        of_customer = {"customer": buyer.customer_id, "items__0__plan": PLAN}
        return str(self.elsewhere.ask("/v1/subscriptions", **of_customer, **fields)["id"])


@pytest.fixture
def shop(selling: Server, elsewhere: Localstripe, valkey: Valkey) -> Iterator[ShopElsewhere]:
    with httpx.Client(base_url=selling.url, timeout=20) as client:
        yield ShopElsewhere(client, elsewhere, valkey)


def test_its_events_are_taken(shop: ShopElsewhere) -> None:
    buyer = shop.customer()
    shop.elsewhere.ask("/_config/webhooks/ours", url=shop.webhook, secret=SECRET)
    subscription = shop.subscribe(buyer)
    eventually(lambda: buyer.state() == (PLAN, BASIC))
    shop.elsewhere.delete(f"/v1/subscriptions/{subscription}")
    eventually(lambda: buyer.state() == ("google_logged_in", FREE))
    assert buyer.ops() == [("refill", BASIC - FREE), ("lapse", FREE - BASIC)]


def test_events_of_another_secret_are_not(shop: ShopElsewhere) -> None:
    buyer = shop.customer()
    shop.elsewhere.ask("/_config/webhooks/ours", url=shop.webhook, secret="another")
    shop.subscribe(buyer)
    failed = 'webhook "customer.subscription.created" failed with response code 400'
    eventually(lambda: failed in shop.elsewhere.text())
    assert buyer.state() == ("google_logged_in", FREE)


def test_a_refund_is_found_by_asking(shop: ShopElsewhere) -> None:
    buyer = shop.customer()
    shop.subscribe(buyer)
    buyer.synced()
    assert buyer.state() == (PLAN, BASIC)
    buyer.charge(1_000)
    (charge,) = shop.elsewhere.get(f"/v1/charges?customer={buyer.customer_id}")["data"]
    shop.elsewhere.ask("/v1/refunds", charge=charge["id"], amount=500)
    buyer.synced()
    assert buyer.state() == (PLAN, BASIC - 1_000 - BASIC // 2)
