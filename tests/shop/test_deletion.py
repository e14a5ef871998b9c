"""Who has bought, and deletes the account: nothing is paid any more, and what is paid all the same
is nobody's."""

import httpx

from tests.metrics.scrape import scrape
from tests.processes import Server
from tests.shop.shop import BASIC, Shop, ShopUser


def delete(buyer: ShopUser) -> httpx.Response:
    path = f"/{buyer.api.tenant_id}/auth/me"
    return buyer.api.client.delete(path, headers=buyer.headers)


def orphans(shop: Shop) -> float:
    return scrape(shop.api.client).value("vibe_billing_orphans_total", tenant=shop.api.tenant_id)


def is_orphan(shop: Shop, selling: Server, payment_id: str) -> bool:
    line = f"Payment {payment_id} of tenant {shop.api.tenant_id} is credited to nobody"
    return line in selling.text()


def test_who_deletes_the_account_pays_no_more(shop: Shop) -> None:
    shop.listen()
    buyer = shop.buyer()
    session = buyer.buy(plan="stripe_basic")
    unpaid = buyer.open(pack="small")
    shop.account.ask("fault", matches="DELETE /v1/", status=429)
    refused = delete(buyer)
    assert (refused.status_code, refused.json()) == (502, {"error": "Billing provider failed"})
    assert buyer.state() == ("stripe_basic", BASIC)
    assert delete(buyer).status_code == 204
    assert shop.stripe.subscriptions.retrieve(session.subscription).status == "canceled"
    assert shop.stripe.checkout.sessions.retrieve(unpaid).status == "expired"
    shop.finish()
    assert shop.api.get("/balance", buyer.headers).status_code == 401
    assert not shop.valkey.client.exists(f"{{user:{buyer.user_id}}}:payments")


def test_who_has_lost_the_identity_can_end_what_it_pays_for(shop: Shop) -> None:
    """As where Apple tells that the account has gone: nobody can sign in to it again."""
    buyer = shop.buyer()
    shop.account.ask("pay", id=buyer.open(plan="stripe_basic"))
    account = f"{{user:{buyer.user_id}}}:account"
    shop.valkey.client.hset(account, f"key:{buyer.api_key}", "1")
    assert delete(buyer).json() == {"error": "Recent login required"}
    assert shop.api.post("/billing/portal", None, buyer.headers).status_code == 403
    shop.valkey.client.hdel(account, f"identity:google:{buyer.user_id}")
    assert shop.api.post("/billing/portal", None, buyer.headers).status_code == 201
    assert delete(buyer).status_code == 204
    (subscription,) = shop.stripe.subscriptions.list({"status": "all"}).data
    assert subscription.status == "canceled"


def test_the_end_of_a_plan_that_is_told_late_is_no_orphan(shop: Shop) -> None:
    """Else each account that is deleted would raise the alarm."""
    shop.listen()
    buyer = shop.buyer()
    session = buyer.buy(plan="stripe_basic")
    shop.listen(hold=True)
    assert delete(buyer).status_code == 204
    shop.stripe.refunds.create({"charge": buyer.charge_of(session).id})
    shop.account.ask("release")
    shop.finish()
    assert orphans(shop) == 0


def test_a_transfer_that_comes_after_the_deletion_is_an_orphan(shop: Shop, selling: Server) -> None:
    """Its page is complete, and can end no more."""
    shop.listen()
    buyer = shop.buyer()
    session_id = buyer.open(pack="small")
    shop.account.ask("pay-later", id=session_id)
    assert delete(buyer).status_code == 204
    shop.account.ask("succeed", id=session_id)
    shop.finish()
    assert orphans(shop) == 1
    assert is_orphan(shop, selling, session_id)
    assert not shop.valkey.client.exists(f"{{user:{buyer.user_id}}}:account")


def test_a_page_that_outlives_its_user_sells_to_nobody(shop: Shop, selling: Server) -> None:
    """As where Apple tells that the account has gone, and nobody asks Stripe."""
    shop.listen()
    buyer = shop.buyer()
    session_id = buyer.open(plan="stripe_basic")
    auth = shop.config["auth"]
    assert shop.api.put_config(shop.config | {"auth": {}}).status_code == 200
    assert delete(buyer).status_code == 204
    assert shop.api.put_config(shop.config | {"auth": auth}).status_code == 200
    shop.account.ask("pay", id=session_id)
    shop.finish()
    (invoice,) = shop.stripe.invoices.list().data
    assert orphans(shop) == 1
    assert is_orphan(shop, selling, invoice.id)
    assert not shop.valkey.client.exists(f"{{user:{buyer.user_id}}}:account")
