"""How often a user may have Stripe asked."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.shop.shop import BACK, Shop, ShopUser
from tests.stored import put, record

MOST = 3


@pytest.fixture
def buyer(shop: Shop) -> ShopUser:
    """One who may ask MOST times a minute, and has no tokens."""
    buyer = shop.buyer()
    limited = {"rateLimit": MOST, "rateLimitWindow": 60, "tokensLeft": 0}
    put(shop.valkey, buyer, record(shop.valkey, buyer) | limited)
    return buyer


def portal(buyer: ShopUser) -> httpx.Response:
    return buyer.api.post("/billing/portal", {"returnUrl": BACK}, buyer.headers)


def questions(shop: Shop) -> int:
    """That the server has asked so far."""
    return sum(
        "vibe-server" in each["headers"]["x-stripe-client-user-agent"]
        for each in shop.account.ask("asked")["asked"]
    )


def is_limited(reply: httpx.Response) -> bool:
    assert reply.headers["ratelimit-policy"] == f'"requests";q={MOST};w=60'
    if reply.status_code != 429:
        return False
    assert reply.json()["error"] == "Too Many Requests"
    assert 0 < int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-tokens-left"] == "0"
    return True


def test_a_flood_of_checkouts_is_429_and_asks_nothing(shop: Shop, buyer: ShopUser) -> None:
    with ThreadPoolExecutor(10) as pool:
        replies = [*pool.map(lambda _: buyer.checkout(pack="small"), range(20))]
    assert sorted(map(is_limited, replies)) == [False] * MOST + [True] * (20 - MOST)
    asked = questions(shop)
    assert is_limited(buyer.checkout(pack="small"))
    assert is_limited(portal(buyer))
    assert questions(shop) == asked


def test_who_has_no_tokens_left_buys_and_opens_the_portal(buyer: ShopUser) -> None:
    bought, page = buyer.checkout(plan="stripe_basic"), portal(buyer)
    assert (bought.status_code, page.status_code) == (201, 201)
    lefts = [reply.headers["ratelimit"].split(";")[1] for reply in (bought, page)]
    assert lefts == [f"r={MOST - 1}", f"r={MOST - 2}"]


def test_deletions_that_stripe_fails_at_are_counted(shop: Shop, buyer: ShopUser) -> None:
    assert buyer.checkout(plan="stripe_basic").status_code == 201
    shop.account.ask("fault", matches="GET /v1/checkout/sessions", status=429, times=MOST - 1)

    def delete() -> int:
        path = f"/{buyer.api.tenant_id}/auth/me"
        return buyer.api.client.delete(path, headers=buyer.headers).status_code

    assert [delete() for _ in range(MOST)] == [502] * (MOST - 1) + [429]


def test_what_is_refused_as_it_stands_is_not_counted(buyer: ShopUser) -> None:
    assert {buyer.checkout(pack=5).status_code for _ in range(MOST)} == {422}
    assert buyer.checkout(pack="small").headers["ratelimit"].split(";")[1] == f"r={MOST - 1}"
