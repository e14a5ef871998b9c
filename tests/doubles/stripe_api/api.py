"""`/v1/...`: what of Stripe's API this service asks, and what tests make."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.doubles.stripe_api import money_back, sessions, subscriptions
from tests.doubles.stripe_api.account import Account
from tests.doubles.stripe_api.guard import Answer, guarded
from tests.doubles.stripe_api.lists import listed
from tests.doubles.stripe_api.world import Object, Refused, World

KINDS = {
    "products": "product",
    "prices": "price",
    "customers": "customer",
    "checkout/sessions": "checkout.session",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "events": "event",
}


def add_api(app: web.Application) -> None:
    posts: dict[str, Callable[[World, dict[str, Any], str], Object]] = {
        "products": _product,
        "prices": _price,
        "customers": _customer,
        "checkout/sessions": lambda world, wanted, _: sessions.open_session(world, wanted),
        "checkout/sessions/{id}/expire": _expire,
        "subscriptions/{id}": _change,
        "refunds": _refund,
        "billing_portal/sessions": _portal,
    }
    for path, kind in KINDS.items():
        app.router.add_get(f"/v1/{path}", guarded(_list_of(kind)))
        app.router.add_get(f"/v1/{path}/{{id}}", guarded(_one_of(kind)))
    for path, make in posts.items():
        app.router.add_post(f"/v1/{path}", guarded(_made_by(make)))
    app.router.add_delete("/v1/subscriptions/{id}", guarded(_cancel))
    app.router.add_delete("/v1/customers/{id}", guarded(_delete_customer))


def _list_of(kind: str) -> Answer:
    return lambda account, wanted, request: listed(account.world, kind, wanted, request.path)


def _one_of(kind: str) -> Answer:
    return lambda account, _, request: account.world.find(kind, request.match_info["id"])


def _made_by(make: Callable[[World, dict[str, Any], str], Object]) -> Answer:
    return lambda account, wanted, request: make(
        account.world, wanted, request.match_info.get("id", "")
    )


def _product(world: World, wanted: dict[str, Any], _: str) -> Object:
    return world.add("product", name=wanted["name"], active=True)


def _price(world: World, wanted: dict[str, Any], _: str) -> Object:
    key, recurring = wanted.get("lookup_key"), wanted.get("recurring")
    for other in world.all("price"):
        if key is not None and other["lookup_key"] == key:
            if wanted.get("transfer_lookup_key") != "true":
                raise Refused(400, f"A price (`{other['id']}`) already uses that lookup key.")
            other["lookup_key"] = None
    return world.add(
        "price",
        active=True,
        currency=wanted.get("currency", "usd"),
        lookup_key=key,
        product=world.find("product", wanted["product"])["id"],
        recurring=recurring and {"interval": recurring["interval"], "interval_count": 1},
        type="recurring" if recurring else "one_time",
        unit_amount=int(wanted["unit_amount"]),
    )


def _customer(world: World, wanted: dict[str, Any], _: str) -> Object:
    return world.add("customer", **sessions.new_customer(wanted))


def _expire(world: World, _: dict[str, Any], wanted_id: str) -> Object:
    session = world.find("checkout.session", wanted_id)
    sessions.expire(world, session)
    return session


def _change(world: World, wanted: dict[str, Any], wanted_id: str) -> Object:
    subscription = world.find("subscription", wanted_id)
    if wanted.get("cancel_at_period_end") == "true":
        subscriptions.cancel(world, subscription, at_period_end=True)
    for item in wanted.get("items", []):
        price = world.find("price", item["price"])
        proration = wanted.get("proration_behavior", "create_prorations")
        subscriptions.change(world, subscription, price, proration)
    return subscription


def _cancel(account: Account, _: dict[str, Any], request: web.Request) -> Object:
    subscription = account.world.find("subscription", request.match_info["id"])
    if subscription["status"] == "canceled":
        raise Refused(404, f"No such subscription: '{subscription['id']}'")
    subscriptions.cancel(account.world, subscription)
    return subscription


def _delete_customer(account: Account, _: dict[str, Any], request: web.Request) -> Object:
    world = account.world
    customer = world.find("customer", request.match_info["id"])
    for each in world.all("subscription"):
        if each["customer"] == customer["id"] and each["status"] != "canceled":
            subscriptions.cancel(world, each)
    customer["deleted"] = True
    world.tell("customer.deleted", customer)
    return {"id": customer["id"], "object": "customer", "deleted": True}


def _refund(world: World, wanted: dict[str, Any], _: str) -> Object:
    charge_id = wanted.get("charge")
    if intent := wanted.get("payment_intent"):
        charge_id = world.find("payment_intent", intent)["latest_charge"]
    amount = int(wanted["amount"]) if "amount" in wanted else None
    charge = world.find("charge", charge_id)
    return money_back.refund(world, charge, amount, wanted.get("metadata", {}))


def _portal(world: World, wanted: dict[str, Any], _: str) -> Object:
    customer = world.find("customer", wanted.get("customer"))
    session = world.add(
        "billing_portal.session",
        customer=customer["id"],
        return_url=wanted.get("return_url"),
        configuration="bpc_1",
    )
    session["url"] = f"{world.url}/portal/{session['id']}"
    return session
