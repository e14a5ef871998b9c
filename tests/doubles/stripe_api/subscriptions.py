"""Subscriptions: how they begin, change, renew and end."""

from tests.doubles.stripe_api.invoices import bill, line, pay
from tests.doubles.stripe_api.world import Object, Refused, World

DAY = 86_400
MONTH = 30 * DAY
RETRY = 3 * DAY
TRIES = 3


def subscribe(
    world: World, customer: str, price: Object, metadata: Object, trial_days: int = 0
) -> Object:
    start, end = world.now, world.now + (trial_days * DAY or MONTH)
    subscription = world.add(
        "subscription",
        customer=customer,
        status="incomplete",
        cancel_at_period_end=False,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        trial_start=start if trial_days else None,
        trial_end=end if trial_days else None,
        metadata=metadata,
        pause_collection=None,
    )
    item = {
        "id": world.add("subscription_item")["id"],
        "object": "subscription_item",
        "price": price,
        "quantity": 1,
        "current_period_start": start,
        "current_period_end": end,
        "subscription": subscription["id"],
    }
    subscription["items"] = {"object": "list", "data": [item], "has_more": False}
    world.tell("customer.subscription.created", subscription)
    amount = 0 if trial_days else price["unit_amount"]
    first = line(world, subscription, price, amount, start, end)
    is_paid = pay(world, bill(world, subscription, "subscription_create", [first]))
    if is_paid:
        _update(world, subscription, status="trialing" if trial_days else "active")
    return subscription


def change(world: World, subscription: Object, price: Object, proration: str) -> None:
    """To another price. `always_invoice` bills the difference now; `create_prorations` with the
    renewal, which is the default; `none` never. Raises Refused."""
    if subscription["status"] == "canceled":
        raise Refused(400, "This subscription is canceled")
    item = subscription["items"]["data"][0]
    before, end = item["price"], item["current_period_end"]
    part = (end - world.now) / (end - item["current_period_start"])
    lines = [
        line(world, subscription, of, sign * int(of["unit_amount"] * part), world.now, end, 1)
        for of, sign in ((before, -1), (price, 1))
    ]
    item["price"] = price
    if proration == "create_prorations":
        subscription["_pending"] = subscription.get("_pending", []) + lines
    elif proration == "always_invoice" and subscription["status"] != "trialing":
        invoice = bill(world, subscription, "subscription_update", lines)
        if not pay(world, invoice):
            _update(world, subscription, status="past_due")
            return
    _update(world, subscription)


def cancel(world: World, subscription: Object, at_period_end: bool = False) -> None:
    if at_period_end:
        end = subscription["items"]["data"][0]["current_period_end"]
        _update(world, subscription, cancel_at_period_end=True, cancel_at=end)
        return
    subscription |= {"status": "canceled", "canceled_at": world.now, "ended_at": world.now}
    world.tell("customer.subscription.deleted", subscription)


def pause(world: World, subscription: Object) -> None:
    subscription["status"] = "paused"
    world.tell("customer.subscription.paused", subscription)


def resume(world: World, subscription: Object) -> None:
    subscription["status"] = "active"
    world.tell("customer.subscription.resumed", subscription)


def next_change(subscription: Object) -> int | None:
    """When time alone changes it next."""
    if subscription["status"] in ("trialing", "active"):
        end: int = subscription["items"]["data"][0]["current_period_end"]
        return end
    if subscription["status"] == "past_due":
        again: int = subscription["_try_again"]
        return again
    return None


def let_time_change(world: World, subscription: Object) -> None:
    """It is the time of `next_change`."""
    if subscription["status"] == "past_due":
        _try_again(world, subscription)
    elif subscription["cancel_at_period_end"]:
        cancel(world, subscription)
    else:
        _renew(world, subscription)


def _renew(world: World, subscription: Object) -> None:
    item = subscription["items"]["data"][0]
    start, end = item["current_period_end"], item["current_period_end"] + MONTH
    item |= {"current_period_start": start, "current_period_end": end}
    price = item["price"]
    lines = [
        line(world, subscription, price, price["unit_amount"], start, end),
        *subscription.pop("_pending", []),
    ]
    invoice = bill(world, subscription, "subscription_cycle", lines)
    is_paid = pay(world, invoice)
    subscription["_try_again"] = start + RETRY
    _update(world, subscription, status="active" if is_paid else "past_due")


def _try_again(world: World, subscription: Object) -> None:
    invoice = world.find("invoice", subscription["latest_invoice"])
    if pay(world, invoice):
        _update(world, subscription, status="active")
    elif invoice["attempt_count"] <= TRIES:
        subscription["_try_again"] += RETRY
    elif world.ending == "canceled":
        cancel(world, subscription)
    else:
        _update(world, subscription, status=world.ending)


def pay_late(world: World, subscription: Object) -> None:
    """The buyer pays the last invoice by hand."""
    if pay(world, world.find("invoice", subscription["latest_invoice"])):
        _update(world, subscription, status="active")


def _update(world: World, subscription: Object, **members: object) -> None:
    previous = {name: subscription.get(name) for name in members}
    subscription |= members
    world.tell("customer.subscription.updated", subscription, previous)
