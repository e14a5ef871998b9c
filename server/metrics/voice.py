"""What is measured of voice; server/metrics/__init__.py has all else."""

from server.metrics.families import Counter, Gauge

_REALTIME_MESSAGES = Counter(
    "vibe_realtime_messages_total",
    "Messages of sessions of voice, by direction: up from clients, down from providers.",
    "direction",
)
_TIMED_CALLS = Counter(
    "vibe_ultravox_calls_total",
    "Ultravox calls, by outcome: created, and then billed, free, unjoined, estimated.",
    "tenant",
    "endpoint",
    "outcome",
    bounded=2,
)
_TIMED_CALLS_OPEN = Gauge(
    "vibe_ultravox_calls_open",
    "Ultravox calls that are not settled, of all servers; one worker of all tells it.",
)


def realtime_message(direction: str) -> None:
    """One of a session of voice has come."""
    _REALTIME_MESSAGES.add((direction,))


def timed_call(tenant_id: str, endpoint: str, outcome: str) -> None:
    """A call that is billed by time is made, or settled."""
    _TIMED_CALLS.add((tenant_id, endpoint, outcome))


def timed_calls_open(count: int) -> None:
    """So many are not settled, as far as this worker has to tell."""
    _TIMED_CALLS_OPEN.set(count)
