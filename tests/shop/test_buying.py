"""Buying, over HTTP: a page of Stripe's, its events, and what the user has then."""

import httpx
import pytest

from tests.shop.shop import BACK, BASIC, FREE, PACK, PREMIUM, Shop, ShopUser


@pytest.fixture
def buyer(shop: Shop) -> ShopUser:
    shop.listen()
    return shop.buyer()


def test_a_plan_is_there_when_the_buyer_comes_back(shop: Shop, buyer: ShopUser) -> None:
    assert buyer.billing() == {
        "plan": None,
        "status": None,
        "periodEnd": None,
        "cancelAtPeriodEnd": False,
        "plans": [
            {"name": "stripe_basic", "tokens": BASIC},
            {"name": "stripe_premium", "tokens": PREMIUM},
        ],
        "packs": [{"name": "small", "tokens": PACK}],
    }
    reply = buyer.checkout(plan="stripe_basic")
    assert reply.status_code == 201
    back = httpx.post(reply.json()["url"], data={"how": "now"}, timeout=30)
    assert back.headers["location"] == BACK
    assert buyer.state() == ("stripe_basic", BASIC)
    billing = buyer.billing()
    assert (billing["plan"], billing["status"]) == ("stripe_basic", "active")
    plan = {"name": "stripe_basic", "status": "active", "periodEnd": billing["periodEnd"]}
    assert buyer.balance()["plan"] == plan
    assert billing["periodEnd"] > reply.json()["expiresAt"]
    shop.finish()
    assert buyer.ops() == [("refill", BASIC - FREE)]
    refs = [entry["ref"] for entry in buyer.ledger() if entry["op"] == "refill"]
    assert [ref["invoice"][:3] for ref in refs] == ["in_"]


def test_a_pack_is_extra(shop: Shop, buyer: ShopUser) -> None:
    buyer.buy(pack="small")
    assert buyer.state() == ("google_logged_in", FREE + PACK)
    buyer.buy(plan="stripe_basic")
    assert buyer.state() == ("stripe_basic", BASIC + PACK)
    shop.account.ask("clock", days=31)
    shop.finish()
    assert buyer.state() == ("stripe_basic", BASIC + PACK)


def test_a_life(shop: Shop, buyer: ShopUser) -> None:
    """Bought, spent, upgraded, renewed, downgraded, cancelled."""
    session = buyer.buy(plan="stripe_basic")
    assert buyer.charge(1_000).status_code == 200
    shop.account.ask("clock", days=15)
    subscription = shop.stripe.subscriptions.retrieve(session.subscription)
    item = {"id": subscription["items"].data[0].id, "price": shop.prices["stripe_premium"]}
    change = {"items": [item], "proration_behavior": "always_invoice"}
    shop.stripe.subscriptions.update(subscription.id, change)
    shop.finish()
    group, left = buyer.state()
    assert group == "stripe_premium"
    assert abs(left - (BASIC - 1_000 + (PREMIUM - BASIC) // 2)) <= 1
    shop.account.ask("clock", days=16)
    shop.finish()
    assert buyer.state() == ("stripe_premium", PREMIUM)
    item["price"] = shop.prices["stripe_basic"]
    shop.stripe.subscriptions.update(subscription.id, change)
    shop.finish()
    assert buyer.state() == ("stripe_basic", PREMIUM)
    shop.stripe.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    shop.finish()
    assert buyer.billing()["cancelAtPeriodEnd"]
    shop.account.ask("clock", days=31)
    shop.finish()
    assert buyer.state() == ("google_logged_in", FREE)
    assert buyer.billing()["plan"] is None
    assert [op for op, _ in buyer.ops()] == ["refill", "upgrade", "refill", "upgrade", "lapse"]


def test_what_is_not_paid(shop: Shop, buyer: ShopUser) -> None:
    buyer.buy(plan="stripe_basic")
    shop.account.ask("card", customer=buyer.customer_id, works=False)
    shop.account.ask("clock", days=31)
    shop.finish()
    assert buyer.state() == ("stripe_basic", BASIC)
    assert buyer.billing()["status"] == "past_due"
    assert [op for op, _ in buyer.ops()] == ["refill"]
    shop.account.ask("clock", days=30)
    shop.finish()
    assert buyer.state() == ("google_logged_in", FREE)


@pytest.mark.parametrize(("ends", "given"), [("succeed", PACK), ("fail", 0)])
def test_a_payment_that_comes_later(shop: Shop, buyer: ShopUser, ends: str, given: int) -> None:
    session_id = buyer.open(pack="small")
    shop.account.ask("pay-later", id=session_id)
    shop.finish()
    assert buyer.state()[1] == FREE
    shop.account.ask(ends, id=session_id)
    shop.finish()
    assert buyer.state()[1] == FREE + given


def test_a_trial_gives_tokens_once(shop: Shop, buyer: ShopUser) -> None:
    """A trial that the tenant gives by hand."""
    buyer.open(plan="stripe_basic")
    for tokens in (BASIC, FREE):
        session = shop.stripe.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": buyer.customer_id,
                "line_items": [{"price": shop.prices["stripe_basic"], "quantity": 1}],
                "subscription_data": {"trial_period_days": 7},
                "success_url": BACK,
            }
        )
        shop.account.ask("pay", id=session.id)
        shop.finish()
        assert buyer.state() == ("stripe_basic", tokens)
        assert buyer.billing()["status"] == "trialing"
        (trial,) = shop.stripe.subscriptions.list({"customer": buyer.customer_id}).data
        shop.stripe.subscriptions.cancel(trial.id)
        shop.finish()
        assert buyer.state() == ("google_logged_in", FREE)


def test_a_refund_of_a_pack(shop: Shop, buyer: ShopUser) -> None:
    session = buyer.buy(pack="small")
    assert buyer.charge(FREE + 4_000).status_code == 200
    charge = buyer.charge_of(session)
    shop.stripe.refunds.create({"charge": charge.id, "amount": 350})
    shop.finish()
    assert buyer.state()[1] == PACK - 4_000 - PACK // 2
    shop.stripe.refunds.create({"charge": charge.id})
    shop.finish()
    assert buyer.state()[1] == 0
    assert buyer.ops()[1:] == [("refund", -PACK // 2), ("refund", -1_000)]


def test_a_refund_of_a_period(shop: Shop, buyer: ShopUser) -> None:
    buyer.buy(pack="small")
    session = buyer.buy(plan="stripe_basic")
    shop.stripe.refunds.create({"charge": buyer.charge_of(session).id})
    shop.finish()
    assert buyer.state() == ("stripe_basic", PACK)


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute(shop: Shop, buyer: ShopUser, won: bool) -> None:
    session = buyer.buy(pack="small")
    dispute = shop.account.ask("dispute", charge=buyer.charge_of(session).id)
    shop.finish()
    assert buyer.state()[1] == FREE
    refused = buyer.checkout(pack="small")
    assert (refused.status_code, refused.json()) == (409, {"error": "Payment disputed"})
    shop.account.ask("close-dispute", id=dispute["id"], won=won)
    shop.finish()
    assert buyer.state()[1] == FREE + (PACK if won else 0)
    assert buyer.checkout(pack="small").status_code == (201 if won else 409)


def test_a_customer_that_is_deleted(shop: Shop, buyer: ShopUser) -> None:
    session = buyer.buy(plan="stripe_basic")
    shop.stripe.customers.delete(session.customer)
    shop.finish()
    assert buyer.state() == ("google_logged_in", FREE)


def test_old_versions_of_the_api(shop: Shop, buyer: ShopUser) -> None:
    """An endpoint's version is the tenant's choice, and a bought thing the same in all."""
    shop.account.ask("account", old_periods=True)
    session = buyer.buy(plan="stripe_basic")
    shop.account.ask("clock", days=15)
    (item,) = shop.stripe.subscriptions.retrieve(session.subscription)["items"].data
    change = {
        "items": [{"id": item.id, "price": shop.prices["stripe_premium"]}],
        "proration_behavior": "always_invoice",
    }
    shop.stripe.subscriptions.update(session.subscription, change)
    shop.finish()
    assert abs(buyer.state()[1] - (BASIC + (PREMIUM - BASIC) // 2)) <= 1
    shop.account.ask("clock", days=31)
    shop.finish()
    assert buyer.state() == ("stripe_premium", PREMIUM)


def test_without_a_secret_the_app_asks(shop: Shop) -> None:
    shop.set_stripe(webhook_secret=[])
    buyer = shop.buyer()
    session_id = buyer.open(plan="stripe_basic")
    shop.account.ask("pay", id=session_id)
    assert buyer.state() == ("google_logged_in", FREE)
    assert buyer.synced()["plan"] == "stripe_basic"
    assert buyer.state() == ("stripe_basic", BASIC)
    again = buyer.sync()
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= 10
    shop.account.ask("pay", id=buyer.open(pack="small"))
    shop.account.ask("clock", days=31)
    buyer.synced()
    assert buyer.state() == ("stripe_basic", BASIC + PACK)
    shop.stripe.refunds.create(
        {"charge": shop.stripe.charges.list({"customer": buyer.customer_id}).data[1].id}
    )
    buyer.synced()
    assert buyer.state() == ("stripe_basic", BASIC)
    assert shop.buyer().sync().json()["plan"] is None
