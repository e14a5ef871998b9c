"""Stripe's events: which are believed, which are ours, and what a failure leaves."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.doubles.stripe_api import StripeDouble
from tests.doubles.stripe_api.delivery import signature
from tests.hurried import Hurried
from tests.metrics.scrape import scrape
from tests.processes import ROOT, Valkey
from tests.shop.shop import FREE, PACK, SECRET, Shop, ShopUser


@pytest.fixture
def buyer(shop: Shop) -> ShopUser:
    return shop.buyer()


def send(shop: Shop, body: bytes, header: str | None) -> httpx.Response:
    headers = {} if header is None else {b"Stripe-Signature": header.encode()}
    return httpx.post(shop.webhook, content=body, headers=headers, timeout=30)


def paid(shop: Shop, buyer: ShopUser) -> bytes:
    """The event of a pack that was paid for, which has not been delivered."""
    session_id = buyer.open(pack="small")
    shop.account.ask("pay", id=session_id)
    return event_of(shop, "checkout.session.completed")


def event_of(shop: Shop, kind: str) -> bytes:
    (event,) = shop.stripe.events.list({"types": [kind], "limit": 1}).data
    return json.dumps(event.to_dict()).encode()


def signed(body: bytes, *secrets: str, ago: int = 0) -> str:
    return signature(body, [*secrets], int(time.time()) - ago)


Forge = Callable[[bytes], str | None]
SUM = "0" * 64
FORGED: dict[str, Forge] = {
    "none": lambda body: None,
    "empty": lambda body: "",
    "another secret": lambda body: signed(body, "whsec_of_another"),
    "the empty secret": lambda body: signed(body, ""),
    "another body": lambda body: signed(body.replace(b": ", b":"), SECRET),
    "301 s ago": lambda body: signed(body, SECRET, ago=301),
    "301 s ahead": lambda body: signed(body, SECRET, ago=-302),
    "no time": lambda body: signed(body, SECRET).partition(",")[2],
    "two times": lambda body: f"t={int(time.time())}," + signed(body, SECRET),
    "a time that is none": lambda body: "t=now,v1=" + SUM,
    "a negative time": lambda body: "t=-1,v1=" + SUM,
    "a very long time": lambda body: f"t={'9' * 5_000},v1={SUM}",
    "v0": lambda body: signed(body, SECRET).replace("v1=", "v0="),
    "upper case": lambda body: signed(body, SECRET).upper().replace("V1=", "v1="),
    "half a sum": lambda body: signed(body, SECRET)[:-32],
    "no hexadecimal": lambda body: f"t={int(time.time())},v1={'x' * 64}",
    "not ASCII": lambda body: f"t={int(time.time())},v1=" + "é" * 64,
    "30 sums before it": lambda body: signed(body, SECRET).replace(
        ",v1=", f",v1={SUM}" * 30 + ",v1="
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_stripe_has_not_signed(shop: Shop, buyer: ShopUser, name: str) -> None:
    body = paid(shop, buyer)
    before = len(shop.account.ask("asked")["asked"])
    header = FORGED[name](body)
    reply = send(shop, body, header)
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid signature"})
    assert len(shop.account.ask("asked")["asked"]) == before
    assert buyer.state()[1] == FREE


def test_one_good_signature_is_enough(shop: Shop, buyer: ShopUser) -> None:
    shop.set_stripe(webhook_secret=["whsec_old", SECRET])
    body = paid(shop, buyer)
    for header in (
        signed(body, "whsec_old", ago=290),
        signed(body, "whsec_foreign", SECRET, ago=-290),
    ):
        reply = send(shop, body, header)
        assert (reply.status_code, reply.json()) == (200, {"received": True})
    assert buyer.state()[1] == FREE + PACK


def test_a_secret_is_its_tenants(
    shop: Shop, buyer: ShopUser, double: StripeDouble, valkey: Valkey
) -> None:
    other = Shop(shop.api.client, double, valkey)
    other.set_stripe(webhook_secret="whsec_of_the_other")
    body = paid(shop, buyer)
    assert send(shop, body, signed(body, "whsec_of_the_other")).status_code == 400
    assert send(other, body, signed(body, SECRET)).status_code == 400


@pytest.mark.parametrize("secret", [[], "", [""]], ids=str)
def test_without_a_secret_there_are_no_events(shop: Shop, secret: object) -> None:
    shop.set_stripe(webhook_secret=secret)
    for header in (None, signed(b"{}", ""), signed(b"{}", SECRET)):
        reply = send(shop, b"{}", header)
        assert (reply.status_code, reply.json()) == (404, {"error": "Billing not configured"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"5", 400),
        (b"{}", 200),
        (b'{"type": "invoice.paid", "livemode": false}', 200),
        (b'{"type": "invoice.paid", "livemode": false, "data": {"object": []}}', 200),
        (b'{"type": "invoice.paid", "livemode": false, "data": {"object": {}}}', 200),
        (b'{"type": ["invoice.paid"], "livemode": false, "data": {"object": {}}}', 200),
        (b'{"type": "charge.refunded", "livemode": false, "data": {"object": {"id": 5}}}', 200),
        (b'{"type": "invoice.paid", "livemode": false, "data": {"object": {"customer": 5}}}', 200),
        (b"[" * 10_000, 400),
        (b" " * (256 * 1024 + 1), 413),
    ],
    ids=lambda value: str(value)[:60],
)
def test_odd_events(shop: Shop, body: bytes, status: int) -> None:
    assert send(shop, body, signed(body, SECRET)).status_code == status


def test_events_of_others_are_answered(shop: Shop, buyer: ShopUser) -> None:
    """Whatever else the tenant sells: Stripe would switch off an endpoint that refuses."""
    customer = shop.stripe.customers.create({"name": "A stranger"})
    session = shop.stripe.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": shop.prices["stripe_basic"], "quantity": 1}],
            "success_url": "https://app.example.com/",
        }
    )
    shop.listen()
    shop.account.ask("pay", id=session.id)
    shop.finish()
    assert buyer.state()[1] == FREE


@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_copied_metadata_credits_nobody(
    shop: Shop, buyer: ShopUser, selling: Hurried, mode: str
) -> None:
    buyer.open(pack="small")
    stranger = shop.stripe.customers.create({})
    metadata = {
        "vibe_tenant": shop.api.tenant_id,
        "vibe_user": buyer.user_id,
        "vibe_tokens": "1000000",
    }
    price = shop.prices["small" if mode == "payment" else "stripe_basic"]
    made_of_it = "payment_intent_data" if mode == "payment" else "subscription_data"
    session = shop.stripe.checkout.sessions.create(
        {
            "mode": mode,
            "customer": stranger.id,
            "line_items": [{"price": price, "quantity": 1}],
            "metadata": metadata,
            made_of_it: {"metadata": metadata},
            "success_url": "https://app.example.com/",
        }
    )
    shop.listen()
    shop.account.ask("pay", id=session.id)
    shop.finish()
    buyer.synced()
    assert buyer.state() == ("google_logged_in", FREE)
    counted = scrape(shop.api.client).value("vibe_billing_orphans_total", tenant=shop.api.tenant_id)
    assert counted >= 1
    assert f"tenant {shop.api.tenant_id} is credited to nobody" in selling.text()


def test_test_and_live_events_are_apart(shop: Shop, buyer: ShopUser) -> None:
    event = json.loads(paid(shop, buyer))
    body = json.dumps({**event, "livemode": True}).encode()
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    assert buyer.state()[1] == FREE


@pytest.mark.parametrize(
    "fault", [{"status": 500, "times": 3}, {"status": 429}, {"seconds": 60}], ids=str
)
def test_stripe_delivers_again_what_could_not_be_asked(
    shop: Shop, buyer: ShopUser, fault: dict[str, Any]
) -> None:
    body = paid(shop, buyer)
    shop.account.ask("fault", matches="GET /v1/checkout/sessions", **fault)
    refused = send(shop, body, signed(body, SECRET))
    assert (refused.status_code, refused.json()) == (503, {"error": "Service Unavailable"})
    assert buyer.state()[1] == FREE
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    assert buyer.state()[1] == FREE + PACK


def test_a_lost_answer_is_asked_for_again(shop: Shop, buyer: ShopUser) -> None:
    body = paid(shop, buyer)
    shop.account.ask("fault", matches="GET /v1/checkout/sessions", lose=True)
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    assert buyer.state()[1] == FREE + PACK


def test_money_that_no_balance_holds_is_an_orphan(
    shop: Shop, buyer: ShopUser, selling: Hurried
) -> None:
    body = paid(shop, buyer)
    assert buyer.grant({"tokens": 10**13 - FREE}).status_code == 200
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    session_id = json.loads(body)["data"]["object"]["id"]
    assert f"Payment session:{session_id} of tenant" in selling.text()


def test_an_event_for_a_user_that_has_gone(shop: Shop, buyer: ShopUser) -> None:
    body = paid(shop, buyer)
    shop.valkey.client.delete(f"user:{buyer.user_id}")
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    assert not shop.valkey.client.exists(f"{{user:{buyer.user_id}}}:payments")
    shop.valkey.client.delete(f"{{user:{buyer.user_id}}}:account")
    assert send(shop, body, signed(body, SECRET)).status_code == 200
    assert not shop.valkey.client.exists(f"{{user:{buyer.user_id}}}:account")


def test_five_copies_at_once_in_any_order(shop: Shop, buyer: ShopUser) -> None:
    shop.listen(copies=5, hold=True, shuffle=3, delay=0.05)
    for purchase in ({"pack": "small"}, {"plan": "stripe_basic"}):
        shop.account.ask("pay", id=buyer.open(**purchase))
    shop.account.ask("release")
    shop.finish()
    assert buyer.state() == ("stripe_basic", 5_000 + PACK)
    assert sorted(op for op, _ in buyer.ops()) == ["pack", "refill"]


def test_a_restricted_key_buys_nothing(shop: Shop, buyer: ShopUser) -> None:
    restricted = buyer.restricted(tokens=5)
    for path in ("/billing/checkout", "/billing/portal", "/billing/sync"):
        assert shop.api.post(path, {}, restricted.headers).status_code == 403
    assert shop.api.get("/billing", restricted.headers).status_code == 403


def test_an_unknown_tenant_has_no_events(shop: Shop) -> None:
    url = shop.webhook.replace(shop.api.tenant_id, f"t-{uuid4().hex[:8]}")
    assert httpx.post(url, content=b"{}").status_code == 400


def test_who_never_bills_has_not_imported_stripes_library() -> None:
    made = "from server.app import from_environment; from_environment()"
    code = f"import sys; sys.modules['stripe'] = None; {made}"
    settings = {"REDIS_URL": "redis://localhost:1", "SANIC_WORKER_NAME": "any"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=settings, check=True)
