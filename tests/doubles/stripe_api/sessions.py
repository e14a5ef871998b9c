"""Checkout sessions: what is bought, and how it is paid."""

from typing import Any

from tests.doubles.stripe_api.invoices import charge_for
from tests.doubles.stripe_api.subscriptions import subscribe
from tests.doubles.stripe_api.world import Object, Refused, World

HOURS_24 = 86_400


def open_session(world: World, wanted: dict[str, Any]) -> Object:
    """Raises Refused."""
    mode, items = wanted.get("mode"), wanted.get("line_items")
    if mode not in ("payment", "subscription") or not isinstance(items, list) or len(items) != 1:
        raise Refused(400, "You must specify `mode` and one of `line_items`")
    price = world.find("price", items[0].get("price"))
    if (price["recurring"] is None) == (mode == "subscription"):
        raise Refused(400, f"You must provide a fitting price in `{mode}` mode")
    if not wanted.get("success_url"):
        raise Refused(400, "Missing required param: success_url")
    customer = wanted.get("customer")
    if customer is not None:
        world.find("customer", customer)
    session = world.add(
        "checkout.session",
        mode=mode,
        status="open",
        payment_status="unpaid",
        ui_mode="hosted_page",
        amount_total=price["unit_amount"],
        currency="usd",
        customer=customer,
        client_reference_id=wanted.get("client_reference_id"),
        metadata=wanted.get("metadata", {}),
        success_url=wanted["success_url"],
        cancel_url=wanted.get("cancel_url"),
        expires_at=int(wanted.get("expires_at", world.now + HOURS_24)),
        subscription=None,
        payment_intent=None,
        invoice=None,
    )
    of_what = wanted.get(f"{'subscription' if mode == 'subscription' else 'payment_intent'}_data")
    session["_bought"] = {"price": price["id"], "data": of_what or {}}
    session["url"] = f"{world.url}/pay/{session['id']}"
    return session


def complete(world: World, session: Object, is_later: bool = False) -> None:
    """The buyer has finished; with a method that pays `is_later` nothing is paid yet."""
    if session["status"] != "open":
        raise Refused(400, "This Checkout Session is not open")
    customer = session["customer"] and world.find("customer", session["customer"])
    if customer and not customer["_card_works"]:
        raise Refused(402, "Your card was declined.", "card_error")
    if customer is None:
        session["customer"] = world.add("customer", **new_customer({}))["id"]
    session["status"] = "complete"
    if not is_later:
        _fulfil(world, session)
    world.tell("checkout.session.completed", session)


def _fulfil(world: World, session: Object) -> None:
    bought, customer = session["_bought"], session["customer"]
    metadata = bought["data"].get("metadata", {})
    price = world.find("price", bought["price"])
    session["payment_status"] = "paid"
    if session["mode"] == "payment":
        charge = charge_for(world, customer, price["unit_amount"], metadata)
        session["payment_intent"] = charge["payment_intent"]
        return
    trial_days = int(bought["data"].get("trial_period_days", 0))
    subscription = subscribe(world, customer, price, metadata, trial_days)
    session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if trial_days:
        session["payment_status"] = "no_payment_required"


def succeed_late(world: World, session: Object) -> None:
    _fulfil(world, session)
    world.tell("checkout.session.async_payment_succeeded", session)


def fail_late(world: World, session: Object) -> None:
    world.tell("checkout.session.async_payment_failed", session)


def expire(world: World, session: Object) -> None:
    """Raises Refused."""
    if session["status"] != "open":
        raise Refused(400, 'Only Checkout Sessions with a status in ["open"] can be expired')
    session["status"] = "expired"
    world.tell("checkout.session.expired", session)


def new_customer(wanted: dict[str, Any]) -> Object:
    """The members of one whose card works."""
    return {
        "email": wanted.get("email"),
        "name": wanted.get("name"),
        "metadata": wanted.get("metadata", {}),
        "_credit": 0,
        "_card_works": True,
    }
