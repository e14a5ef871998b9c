"""Paid invoices: which payment each is, for which plan and period."""

from collections.abc import Awaitable, Callable, Sequence

from server.billing.account import Object
from server.billing.objects import Line, lines_of, subscription_of, times_of_subscription
from server.billing.payments import Kind, Payment, Period

BEGINS = ("subscription_create", "subscription_cycle", "subscription_update")
"""The reasons for which an invoice gives tokens; one made by hand or for a quote gives none."""

TokensOf = Callable[[str, Object], Awaitable[int | None]]
"""The tokens of the plan with this price, of this subscription; None if it is no plan."""


class Unpriced(Exception):
    """Paid for what is no plan here."""


async def payment_of(
    invoice: Object, subscription: Object, invoices: Sequence[Object], tokens_of: TokensOf
) -> Payment | None:
    """What a paid invoice of the subscription gives; None for nothing. `invoices` are all of the
    customer that are known. Raises Unpriced, BillingFailed."""
    if invoice.get("billing_reason") not in BEGINS:
        return None
    lines = lines_of(invoice)
    whole = next((line for line in lines if not line.is_proration), None)
    if whole is not None:
        return await _of_period(invoice, subscription, whole, tokens_of)
    raised = next((line for line in lines if line.amount > 0), None)
    started = raised and _start_of(raised, subscription, invoices)
    if raised is None or not started:
        return None
    tokens = await _tokens(raised, subscription, tokens_of)
    period = Period(subscription["id"], started, raised.times.end_ms)
    return _payment(invoice, "upgrade", tokens, period, raised.times.start_ms)


async def _of_period(
    invoice: Object, subscription: Object, line: Line, tokens_of: TokensOf
) -> Payment | None:
    trial_start = subscription.get("trial_start")
    is_trial = not invoice.get("total") and trial_start == line.times.start_ms // 1_000
    tokens = await _tokens(line, subscription, tokens_of)
    period = Period(subscription["id"], *line.times)
    return _payment(invoice, "trial" if is_trial else "cycle", tokens, period, period.start_ms)


def _payment(invoice: Object, kind: Kind, tokens: int, period: Period, from_ms: int) -> Payment:
    name = invoice["id"]
    return Payment(f"invoice:{name}", kind, tokens, period, from_ms, {"invoice": name})


async def _tokens(line: Line, subscription: Object, tokens_of: TokensOf) -> int:
    tokens = await tokens_of(line.price, subscription)
    if tokens is None:
        raise Unpriced
    return tokens


def _start_of(raised: Line, subscription: Object, invoices: Sequence[Object]) -> int:
    """When the period began within which this line raises the plan; 0 if that is not known."""
    current = times_of_subscription(subscription)
    if current.end_ms == raised.times.end_ms:
        return current.start_ms
    for other in invoices:
        if subscription_of(other) == subscription["id"]:
            for line in lines_of(other):
                if not line.is_proration and line.times.end_ms == raised.times.end_ms:
                    return line.times.start_ms
    return 0
