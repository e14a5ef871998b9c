"""The double of Stripe, through Stripe's own library."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stripe

from tests.doubles.stripe_api import Account, StripeDouble

MONTH = 30 * 86_400
SECRETS = ["whsec_one", "whsec_two"]


@pytest.fixture(scope="module")
def double() -> Iterator[StripeDouble]:
    stripe.enable_telemetry = False
    with StripeDouble() as double:
        yield double


@pytest.fixture
def account(double: StripeDouble) -> Account:
    return double.account(f"sk_test_{uuid4().hex}")


def client_of(account: Account, api_key: str = "", retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(
        api_key or account.api_key,
        base_addresses={"api": account.url},
        http_client=stripe.RequestsClient(),
        max_network_retries=retries,
    )


class Shop:
    """An account with two plans and a pack, and one customer."""

    def __init__(self, account: Account) -> None:
        self.account = account
        # Of any type: the parameters' types are too narrow for what is put together here.
        self.api: Any = client_of(account).v1
        product = self.api.products.create({"name": "Any"})
        of_product: Any = {"currency": "usd", "product": product.id}
        monthly: Any = {"recurring": {"interval": "month"}}
        self.basic, self.premium, self.pack = (
            self.api.prices.create(of_product | more)
            for more in (
                monthly | {"unit_amount": 1_000, "lookup_key": "basic"},
                monthly | {"unit_amount": 4_000, "lookup_key": "premium"},
                {"unit_amount": 700},
            )
        )
        self.customer = self.api.customers.create({"metadata": {"vibe_user": "u1"}})

    def session(self, price: Any, **more: Any) -> Any:
        return self.api.checkout.sessions.create(
            {
                "mode": "subscription" if price.recurring else "payment",
                "line_items": [{"price": price.id, "quantity": 1}],
                "customer": self.customer.id,
                "success_url": "https://app.example/?cs={CHECKOUT_SESSION_ID}",
                **more,
            }
        )

    def subscribe(self, price: Any, **more: Any) -> Any:
        session = self.session(price, **more)
        self.account.ask("pay", id=session.id)
        paid = self.api.checkout.sessions.retrieve(session.id)
        assert isinstance(paid.subscription, str)
        return self.api.subscriptions.retrieve(paid.subscription)

    def invoices(self) -> list[tuple[str | None, str | None, int]]:
        """Reason, status and total, the oldest first."""
        found = self.api.invoices.list({"customer": self.customer.id}).data
        return [(each.billing_reason, each.status, each.total) for each in found[::-1]]

    def status(self, subscription: Any) -> Any:
        return self.api.subscriptions.retrieve(subscription.id).status


@pytest.fixture
def shop(account: Account) -> Shop:
    return Shop(account)


def test_keys_belong_to_accounts(double: StripeDouble, account: Account) -> None:
    with pytest.raises(stripe.AuthenticationError):
        client_of(account, "sk_test_unknown").v1.customers.create({})
    live = double.account(f"sk_live_{uuid4().hex}")
    customer = client_of(live).v1.customers.create({})
    assert customer.livemode
    with pytest.raises(stripe.InvalidRequestError):
        client_of(account).v1.customers.retrieve(customer.id)


def test_prices_are_found_by_lookup_key(shop: Shop) -> None:
    found = shop.api.prices.list({"lookup_keys": ["basic"], "active": True})
    assert [price.id for price in found.data] == [shop.basic.id]
    assert found.data[0].recurring
    with pytest.raises(stripe.InvalidRequestError):
        shop.api.prices.list({"limit": 101})


def test_a_pack_is_paid(shop: Shop) -> None:
    session = shop.session(shop.pack, payment_intent_data={"metadata": {"vibe_user": "u1"}})
    assert (session.status, session.payment_status) == ("open", "unpaid")
    shop.account.ask("pay", id=session.id)
    paid = shop.api.checkout.sessions.retrieve(session.id)
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert isinstance(paid.payment_intent, str)
    (found,) = shop.api.checkout.sessions.list({"payment_intent": paid.payment_intent}).data
    assert found.id == session.id
    (charge,) = shop.api.charges.list({"payment_intent": paid.payment_intent}).data
    assert (charge.amount, charge.metadata["vibe_user"]) == (700, "u1")


def test_a_payment_may_come_late_or_never(shop: Shop) -> None:
    late, never = shop.session(shop.pack), shop.session(shop.pack)
    for session in (late, never):
        shop.account.ask("pay-later", id=session.id)
        found = shop.api.checkout.sessions.retrieve(session.id)
        assert (found.status, found.payment_status) == ("complete", "unpaid")
    shop.account.ask("succeed", id=late.id)
    shop.account.ask("fail", id=never.id)
    assert shop.api.checkout.sessions.retrieve(late.id).payment_status == "paid"
    assert shop.api.checkout.sessions.retrieve(never.id).payment_status == "unpaid"
    assert {each.type for each in shop.api.events.list({"limit": 3}).data} >= {
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
    }


def test_a_session_that_has_expired_is_not_paid(shop: Shop) -> None:
    session = shop.session(shop.pack)
    assert shop.api.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(AssertionError):
        shop.account.ask("pay", id=session.id)


def test_a_subscription_renews(shop: Shop) -> None:
    subscription = shop.subscribe(shop.basic, subscription_data={"metadata": {"vibe_user": "u1"}})
    item = subscription["items"].data[0]
    assert (subscription.status, item.current_period_end - item.current_period_start) == (
        "active",
        MONTH,
    )
    shop.account.ask("clock", days=61)
    assert shop.invoices() == [
        ("subscription_create", "paid", 1_000),
        ("subscription_cycle", "paid", 1_000),
        ("subscription_cycle", "paid", 1_000),
    ]
    invoice = shop.api.invoices.list({"limit": 1, "expand": ["data.customer"]}).data[0]
    assert isinstance(invoice.customer, stripe.Customer)
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id
    line = invoice.lines.data[0]
    assert line.period.start == item.current_period_end + MONTH
    (payment,) = shop.api.invoice_payments.list({"invoice": invoice.id}).data
    intent = payment.payment.payment_intent
    assert isinstance(intent, str)
    way_back = shop.api.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": intent}}
    )
    assert [each.invoice for each in way_back.data] == [invoice.id]


def test_what_is_not_paid_ends(shop: Shop) -> None:
    subscription = shop.subscribe(shop.basic)
    shop.account.ask("card", customer=shop.customer.id, works=False)
    shop.account.ask("clock", days=31)
    assert shop.status(subscription) == "past_due"
    shop.account.ask("card", customer=shop.customer.id, works=True)
    shop.account.ask("clock", days=3)
    assert shop.status(subscription) == "active"
    shop.account.ask("card", customer=shop.customer.id, works=False)
    shop.account.ask("account", ending="unpaid")
    shop.account.ask("clock", days=60)
    assert shop.status(subscription) == "unpaid"
    shop.account.ask("card", customer=shop.customer.id, works=True)
    shop.account.ask("pay-invoice", id=subscription.id)
    assert shop.status(subscription) == "active"


def test_an_upgrade_is_billed_at_once_or_later(shop: Shop) -> None:
    subscription = shop.subscribe(shop.basic)
    shop.account.ask("clock", days=15)
    item = {"id": subscription["items"].data[0].id, "price": shop.premium.id}
    change = {"items": [item], "proration_behavior": "always_invoice"}
    shop.api.subscriptions.update(subscription.id, change)
    reason, status, total = shop.invoices()[-1]
    assert (reason, status) == ("subscription_update", "paid")
    assert abs(total - 1_500) <= 1
    back = {"items": [{**item, "price": shop.basic.id}]}
    shop.api.subscriptions.update(subscription.id, back)
    shop.account.ask("clock", days=16)
    assert shop.invoices()[-1][2] in range(-505, -494), "the renewal has the proration"


def test_a_downgrade_at_once_is_credit(shop: Shop) -> None:
    subscription = shop.subscribe(shop.premium)
    shop.account.ask("clock", days=15)
    item = {"id": subscription["items"].data[0].id, "price": shop.basic.id}
    shop.api.subscriptions.update(
        subscription.id, {"items": [item], "proration_behavior": "always_invoice"}
    )
    reason, status, total = shop.invoices()[-1]
    assert (reason, status, total < 0) == ("subscription_update", "paid", True)
    shop.account.ask("clock", days=16)
    renewal = shop.api.invoices.list({"limit": 1}).data[0]
    assert (renewal.total, renewal.amount_paid) == (1_000, 0)


def test_cancelling(shop: Shop) -> None:
    one, other = shop.subscribe(shop.basic), shop.subscribe(shop.premium)
    assert shop.api.subscriptions.cancel(one.id).status == "canceled"
    shop.api.subscriptions.update(other.id, {"cancel_at_period_end": True})
    assert shop.status(other) == "active"
    shop.account.ask("clock", days=30)
    assert shop.status(other) == "canceled"
    of_customer = {"customer": shop.customer.id}
    assert not shop.api.subscriptions.list(of_customer).data
    assert len(shop.api.subscriptions.list({**of_customer, "status": "all"}).data) == 2


def test_a_trial_ends_with_a_bill(shop: Shop) -> None:
    subscription = shop.subscribe(shop.basic, subscription_data={"trial_period_days": 7})
    assert subscription.status == "trialing"
    assert subscription.trial_start == subscription["items"].data[0].current_period_start
    shop.account.ask("clock", days=8)
    assert shop.status(subscription) == "active"
    assert shop.invoices() == [
        ("subscription_create", "paid", 0),
        ("subscription_cycle", "paid", 1_000),
    ]


def test_pausing(shop: Shop) -> None:
    subscription = shop.subscribe(shop.basic)
    for what, status in (("pause", "paused"), ("resume", "active")):
        shop.account.ask(what, id=subscription.id)
        assert shop.status(subscription) == status


def test_refunds_and_disputes(shop: Shop) -> None:
    session = shop.session(shop.pack)
    shop.account.ask("pay", id=session.id)
    intent = shop.api.checkout.sessions.retrieve(session.id).payment_intent
    assert isinstance(intent, str)
    refund = {"payment_intent": intent}
    shop.api.refunds.create({**refund, "amount": 200})
    (charge,) = shop.api.charges.list(refund).data
    assert (charge.amount_refunded, charge.refunded) == (200, False)
    with pytest.raises(stripe.InvalidRequestError):
        shop.api.refunds.create({**refund, "amount": 501})
    dispute = shop.account.ask("dispute", charge=charge.id)
    assert shop.api.charges.retrieve(charge.id).disputed
    shop.account.ask("close-dispute", id=dispute["id"], won=True)
    assert shop.api.disputes.retrieve(dispute["id"]).status == "won"
    types = [each.type for each in shop.api.events.list({"limit": 4}).data][::-1]
    assert types[-3:] == [
        "charge.dispute.created",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_an_idempotency_key_does_it_once(shop: Shop) -> None:
    once = {"idempotency_key": uuid4().hex}
    first = shop.api.customers.create({"name": "A"}, once)
    again = shop.api.customers.create({"name": "A"}, once)
    assert first.id == again.id
    with pytest.raises(stripe.IdempotencyError):
        shop.api.customers.create({"name": "B"}, once)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429}, stripe.RateLimitError),
        ({"status": 500}, stripe.APIError),
        ({"lose": True}, stripe.APIConnectionError),
    ],
    ids=str,
)
def test_faults(shop: Shop, fault: dict[str, Any], error: type[Exception]) -> None:
    shop.account.ask("fault", matches="POST /v1/customers", **fault)
    with pytest.raises(error):
        shop.api.customers.create({"name": "A"})


def test_what_was_lost_after_it_was_done_is_done_once(shop: Shop) -> None:
    shop.account.ask("fault", matches="POST /v1/customers", lose=True)
    name = uuid4().hex
    client_of(shop.account, retries=2).v1.customers.create({"name": name})
    assert [each.name for each in shop.api.customers.list().data].count(name) == 1


def test_old_shapes(shop: Shop) -> None:
    shop.account.ask("account", old_periods=True)
    subscription = shop.subscribe(shop.basic)
    assert subscription["current_period_end"] - subscription["current_period_start"] == MONTH
    assert "current_period_end" not in subscription["items"].data[0]
    invoice = shop.api.invoices.list().data[0]
    assert invoice["subscription"] == subscription.id


def test_a_page_is_paid_by_form(shop: Shop) -> None:
    session = shop.session(shop.basic)
    assert session.url is not None
    assert 'id="pay"' in httpx.get(session.url).text
    reply = httpx.post(session.url, data={"how": "now"})
    assert reply.headers["location"] == f"https://app.example/?cs={session.id}"
    assert httpx.get(session.url).status_code == 410
    portal = shop.api.billing_portal.sessions.create(
        {"customer": shop.customer.id, "return_url": "https://app.example/"}
    )
    (subscription,) = shop.api.subscriptions.list({"customer": shop.customer.id}).data
    assert subscription.id in httpx.get(portal.url).text
    assert httpx.post(portal.url, data={"id": subscription.id}).status_code == 303
    assert shop.api.subscriptions.retrieve(subscription.id).cancel_at_period_end


class Endpoint(BaseHTTPRequestHandler):
    """Takes events; the first of each, 500."""

    taken: list[dict[str, Any]]
    seen: set[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for secret in SECRETS:
            stripe.WebhookSignature.verify_header(
                body.decode(), self.headers["stripe-signature"], secret, tolerance=300
            )
        event = json.loads(body)
        is_first = event["id"] not in self.seen
        self.seen.add(event["id"])
        if not is_first:
            self.taken.append(event)
        self.send_response(500 if is_first else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[HTTPServer]:
    Endpoint.taken, Endpoint.seen = [], set()
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_events_are_delivered_until_they_are_taken(shop: Shop, endpoint: HTTPServer) -> None:
    url = f"http://127.0.0.1:{endpoint.server_port}/"
    shop.account.ask(
        "account", endpoint=url, secrets=SECRETS, delivery={"drop": ["invoice.created"]}
    )
    shop.subscribe(shop.basic)
    shop.account.ask("finish")
    types = {event["type"] for event in Endpoint.taken}
    assert {"invoice.paid", "checkout.session.completed", "customer.subscription.updated"} <= types
    assert "invoice.created" not in types
    failed = {"delivery_success": False}
    assert [each.type for each in shop.api.events.list(failed).data] == ["invoice.created"]


def test_events_come_twice_and_in_any_order(shop: Shop, endpoint: HTTPServer) -> None:
    url = f"http://127.0.0.1:{endpoint.server_port}/"
    faults = {"copies": 3, "hold": True, "shuffle": 1, "delay": 0.05}
    shop.account.ask("account", endpoint=url, secrets=SECRETS, delivery=faults)
    shop.subscribe(shop.basic)
    assert not Endpoint.seen
    shop.account.ask("release")
    ids = [event["id"] for event in Endpoint.taken]
    assert ids != sorted(ids)
    assert all(ids.count(each) >= 2 for each in ids)
