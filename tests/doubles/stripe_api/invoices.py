"""Invoices: what a subscription costs, its payment, and what goes back of that."""

from tests.doubles.stripe_api.world import Object, World


def line(world: World, subscription: Object, price: Object, amount: int, *times: int) -> Object:
    """Of these times, begin and end; a negative amount, or a third time, is a proration."""
    return {
        "id": world.add("line_item")["id"],
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "period": {"start": times[0], "end": times[1]},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
        },
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "subscription": subscription["id"],
                "proration": len(times) > 2,
            },
        },
        "quantity": 1,
    }


def bill(world: World, subscription: Object, reason: str, lines: list[Object]) -> Object:
    """A new invoice, open, its payment not yet tried."""
    total = sum(each["amount"] for each in lines)
    customer = world.find("customer", subscription["customer"])
    due = max(total - customer["_credit"], 0)
    customer["_credit"] = max(customer["_credit"] - total, 0)
    invoice = world.add(
        "invoice",
        customer=subscription["customer"],
        billing_reason=reason,
        status="open",
        currency="usd",
        total=total,
        amount_due=due,
        amount_paid=0,
        period_start=lines[0]["period"]["start"],
        period_end=lines[0]["period"]["end"],
        lines={"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/lines"},
        parent={
            "type": "subscription_details",
            "subscription_details": {
                "subscription": subscription["id"],
                "metadata": subscription["metadata"],
            },
        },
        metadata={},
        attempt_count=0,
    )
    subscription["latest_invoice"] = invoice["id"]
    world.tell("invoice.created", invoice)
    return invoice


def pay(world: World, invoice: Object) -> bool:
    """Tries to; False if the card fails."""
    customer = world.find("customer", invoice["customer"])
    invoice["attempt_count"] += 1
    due = invoice["amount_due"]
    if due and not customer["_card_works"]:
        world.tell("invoice.payment_failed", invoice)
        return False
    if due:
        charge = charge_for(world, customer["id"], due, {})
        world.add(
            "invoice_payment",
            invoice=invoice["id"],
            amount_paid=due,
            currency="usd",
            status="paid",
            payment={"type": "payment_intent", "payment_intent": charge["payment_intent"]},
        )
    invoice |= {"status": "paid", "amount_paid": due}
    world.tell("invoice.paid", invoice)
    world.tell("invoice.payment_succeeded", invoice)
    return True


def charge_for(world: World, customer: str, amount: int, metadata: Object) -> Object:
    intent = world.add(
        "payment_intent",
        customer=customer,
        amount=amount,
        currency="usd",
        status="succeeded",
        metadata=metadata,
    )
    charge = world.add(
        "charge",
        customer=customer,
        amount=amount,
        amount_captured=amount,
        amount_refunded=0,
        currency="usd",
        disputed=False,
        refunded=False,
        paid=True,
        status="succeeded",
        payment_intent=intent["id"],
        metadata=metadata,
    )
    intent["latest_charge"] = charge["id"]
    world.tell("charge.succeeded", charge)
    return charge
