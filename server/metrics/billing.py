"""What is measured of billing."""

from server.metrics.families import Counter

_STRIPE = Counter(
    "vibe_stripe_requests_total",
    "Questions to Stripe, by outcome: ok, refused, failed, timed_out.",
    "tenant",
    "outcome",
    bounded=1,
)
_STRIPE_EVENTS = Counter(
    "vibe_stripe_events_total",
    "Events from Stripe, by outcome: applied, ignored, orphan, or why they were refused.",
    "tenant",
    "outcome",
    bounded=1,
)
_ORPHANS = Counter(
    "vibe_billing_orphans_total",
    "Payments without a balance that they could be credited to: the log names them.",
    "tenant",
    bounded=1,
)
OF_BILLING = (_STRIPE, _STRIPE_EVENTS, _ORPHANS)


def stripe_asked(tenant_id: str, outcome: str) -> None:
    """Stripe was asked with the tenant's key."""
    _STRIPE.add((tenant_id, outcome))


def stripe_event_answered(tenant_id: str, outcome: str) -> None:
    """An event came."""
    _STRIPE_EVENTS.add((tenant_id, outcome))


def payment_orphaned(tenant_id: str) -> None:
    """Something was paid for that nobody could be given."""
    _ORPHANS.add((tenant_id,))
