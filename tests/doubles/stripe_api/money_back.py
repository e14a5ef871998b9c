"""Refunds and disputes of charges."""

from tests.doubles.stripe_api.world import Object, Refused, World


def refund(world: World, charge: Object, amount: int | None, metadata: Object) -> Object:
    """All that is left of it without an amount. Raises Refused."""
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if amount is None else amount
    if not 0 < amount <= left:
        raise Refused(400, f"Refund amount ({amount}) is greater than unrefunded amount ({left})")
    made = world.add(
        "refund",
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        amount=amount,
        currency="usd",
        status="succeeded",
        metadata=metadata,
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.tell("refund.created", made)
    world.tell("charge.refunded", charge)
    return made


def dispute(world: World, charge: Object) -> Object:
    """Its buyer disputes the whole charge."""
    made = world.add(
        "dispute",
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        amount=charge["amount"],
        currency="usd",
        reason="fraudulent",
        status="needs_response",
        metadata={},
    )
    charge["disputed"] = True
    world.tell("charge.dispute.created", made)
    return made


def close(world: World, disputed: Object, won: bool) -> None:
    disputed["status"] = "won" if won else "lost"
    world.tell("charge.dispute.closed", disputed)
    if won:
        world.tell("charge.dispute.funds_reinstated", disputed)
