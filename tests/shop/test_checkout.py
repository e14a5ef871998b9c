"""What a buyer may ask for, and what never comes of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api import User
from tests.doubles.stripe_api import StripeDouble
from tests.processes import Server, Valkey
from tests.shop.shop import BACK, FREE, PACK, Shop, ShopUser
from tests.stored import now_ms


@pytest.fixture
def buyer(shop: Shop) -> ShopUser:
    return shop.buyer()


def test_only_who_has_signed_in_buys(shop: Shop) -> None:
    stranger = ShopUser(shop, shop.api.login())
    refused = stranger.checkout(pack="small")
    assert (refused.status_code, refused.json()) == (403, {"error": "Login required"})
    assert not shop.asked("POST", "/v1/customers")
    nobody = shop.api.post("/billing/checkout", {"pack": "small"}, {"X-API-Key": "temp_x"})
    assert nobody.status_code == 401


@pytest.mark.parametrize("path", ["", "/checkout", "/portal", "/sync"])
def test_a_tenant_that_sells_nothing(api: Any, path: str) -> None:
    user: User = api.login()
    body = {"pack": "small", "returnUrl": BACK} if path == "/checkout" else None
    method = "GET" if not path else "POST"
    reply = api.client.request(
        method, f"/{api.tenant_id}/billing{path}", headers=user.headers, json=body
    )
    assert (reply.status_code, reply.json()) == (404, {"error": "Billing not configured"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"plan": "stripe_basic", "pack": "small"},
        {"plan": "google_logged_in"},
        {"plan": "anonymous"},
        {"pack": "large"},
        {"pack": 5},
        {"plan": ""},
        {"pack": "small", "price": "price_1"},
        {"pack": "small", "amount": 1},
        {"pack": "small", "quantity": 9},
        {"pack": "small", "tokens": 10**9},
        {"pack": "small", "metadata": {"vibe_user": "another"}},
        {"pack": "small", "customer": "cus_1"},
        {"pack": "small", "success_url": "https://evil.example/"},
    ],
    ids=str,
)
def test_what_cannot_be_bought(buyer: ShopUser, body: dict[str, Any]) -> None:
    assert buyer.checkout(**body).status_code == 422
    assert not buyer.shop.asked("POST", "/v1/checkout/sessions")


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/",
        "javascript:alert(1)",
        "https://app.example.com@evil.example/",
        "https://app.example.com/{CHECKOUT_SESSION_ID}",
        "https://{CHECKOUT_SESSION_ID}.example.com/",
        "//app.example.com/",
        "https://app.example.com\\@evil.example/",
        "com.example.app:/paid",
        "https://app.example.com/" + "x" * 500,
    ],
)
def test_where_nobody_comes_back_to(buyer: ShopUser, url: str) -> None:
    reply = buyer.checkout(pack="small", returnUrl=url)
    assert reply.status_code == 422
    assert reply.json()["details"][0]["path"] == "returnUrl"


def test_only_the_tenants_addresses_are_come_back_to(
    selling: Server, double: StripeDouble, valkey: Valkey
) -> None:
    with httpx.Client(base_url=selling.url, timeout=30) as client:
        shop = Shop(client, double, valkey, redirect_uris=[BACK])
        buyer = shop.buyer()
        assert buyer.checkout(pack="small").status_code == 201
        assert buyer.checkout(pack="small", returnUrl=f"{BACK}/").status_code == 422
        without = shop.api.post("/billing/checkout", {"pack": "small"}, buyer.headers)
        assert without.status_code == 422
        filled = "https://app.example.com/?cs={CHECKOUT_SESSION_ID}"
        shop.set_stripe(success_url=filled)
        own = shop.api.post("/billing/checkout", {"pack": "small"}, buyer.headers)
        back = httpx.post(own.json()["url"], data={"how": "now"}, timeout=30)
        session_id = own.json()["url"].rsplit("/", 1)[1]
        assert back.headers["location"] == f"https://app.example.com/?cs={session_id}"


def test_coming_back_without_paying_gives_nothing(buyer: ShopUser) -> None:
    buyer.open(pack="small")
    buyer.synced()
    assert buyer.state()[1] == FREE


def test_what_was_promised_counts(shop: Shop, buyer: ShopUser) -> None:
    session_id = buyer.open(pack="small")
    cheaper = {"small": {"price": shop.prices["small"], "tokens": 1}}
    shop.set_stripe(packs=cheaper)
    shop.account.ask("pay", id=session_id)
    buyer.synced()
    assert buyer.state()[1] == FREE + PACK


def test_clicks_at_once_are_one_customer_and_one_page(buyer: ShopUser) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = [*pool.map(lambda _: buyer.checkout(plan="stripe_basic"), range(8))]
    assert {reply.status_code for reply in replies} == {201}
    shop = buyer.shop
    assert len(shop.stripe.customers.list().data) == 1
    opened = [each for each in shop.stripe.checkout.sessions.list().data if each.status == "open"]
    assert len(opened) == 1


def test_an_idempotency_key_opens_one_page(buyer: ShopUser) -> None:
    once = {"Idempotency-Key": uuid4().hex}
    urls = {buyer.checkout(once, pack="small").json()["url"] for _ in range(3)}
    assert len(urls) == 1
    other = buyer.checkout(once, plan="stripe_basic")
    assert (other.status_code, other.json()["error"]) == (
        422,
        "Idempotency-Key reused with another request",
    )


def test_a_second_plan_is_refused(shop: Shop, buyer: ShopUser) -> None:
    first, second = buyer.open(plan="stripe_basic"), buyer.open(plan="stripe_premium")
    sessions = shop.stripe.checkout.sessions
    assert [sessions.retrieve(each).status for each in (first, second)] == ["expired", "open"]
    shop.account.ask("pay", id=second)
    refused = buyer.checkout(plan="stripe_basic")
    assert (refused.status_code, refused.json()) == (409, {"error": "Already subscribed"})
    assert buyer.checkout(pack="small").status_code == 201


def test_the_portal(shop: Shop, buyer: ShopUser) -> None:
    def portal() -> httpx.Response:
        return shop.api.post("/billing/portal", {"returnUrl": BACK}, buyer.headers)

    refused = portal()
    assert (refused.status_code, refused.json()) == (409, {"error": "No customer"})
    shop.account.ask("pay", id=buyer.open(plan="stripe_basic"))
    page = portal()
    assert page.status_code == 201
    assert "Cancel" in httpx.get(page.json()["url"]).text
    account = f"{{user:{buyer.user_id}}}:account"
    hour_ago = now_ms(shop.valkey) - 3_600_000
    shop.valkey.client.hset(account, f"key:{buyer.api_key}", str(hour_ago))
    old = portal()
    assert (old.status_code, old.json()) == (403, {"error": "Recent login required"})


FAULTS = {
    "500": ({"status": 500, "times": 3}, 502, "Billing provider failed"),
    "429": ({"status": 429}, 502, "Billing provider failed"),
    "slow": ({"seconds": 60}, 504, "Billing provider timed out"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_stripe_fails(buyer: ShopUser, name: str) -> None:
    fault, status, said = FAULTS[name]
    buyer.shop.account.ask("fault", matches="POST /v1/customers", **fault)
    reply = buyer.checkout(pack="small")
    assert (reply.status_code, reply.json()) == (status, {"error": said})
    assert buyer.checkout(pack="small").status_code == 201
    assert len(buyer.shop.stripe.customers.list().data) == 1


@pytest.mark.parametrize("path", ["customers", "checkout/sessions"])
def test_a_lost_reply_makes_nothing_twice(buyer: ShopUser, path: str) -> None:
    buyer.shop.account.ask("fault", matches=f"POST /v1/{path}", lose=True)
    assert buyer.checkout(pack="small").status_code == 201
    assert len(buyer.shop.stripe.customers.list().data) == 1
    assert len(buyer.shop.stripe.checkout.sessions.list().data) == 1


def test_a_key_that_stripe_refuses(shop: Shop, buyer: ShopUser, selling: Server) -> None:
    wrong = f"sk_test_{uuid4().hex}"
    shop.set_stripe(api_key=wrong)
    reply = buyer.checkout(pack="small")
    assert (reply.status_code, reply.json()) == (502, {"error": "Billing provider failed"})
    text = selling.text()
    lines = [line for line in text.splitlines() if shop.api.tenant_id in line and "ERROR" in line]
    assert any("AuthenticationError 401" in line for line in lines), lines
    assert wrong not in text
    assert wrong[-4:] not in "".join(lines)
