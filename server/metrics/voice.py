"""What is measured of voice; server/metrics/__init__.py has all else."""

from server.metrics.families import Counter, Gauge, Histogram

_SESSION_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600)

_SESSIONS = Gauge("vibe_realtime_sessions", "Sessions of voice that are open.")
_SESSIONS_ENDED = Counter(
    "vibe_realtime_sessions_ended_total",
    "Sessions of voice that have ended, by outcome: what ended them.",
    "tenant",
    "endpoint",
    "outcome",
    bounded=2,
)
_SESSION_DURATION = Histogram(
    "vibe_realtime_session_duration_seconds",
    "Time of sessions of voice.",
    "endpoint",
    bounds=_SESSION_SECONDS,
    bounded=1,
)
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


def session_opened() -> None:
    _SESSIONS.add()


def session_ended(tenant_id: str, endpoint: str, outcome: str, seconds: float) -> None:
    """`outcome`: what ended it, in a word."""
    _SESSIONS.add(amount=-1)
    _SESSIONS_ENDED.add((tenant_id, endpoint, outcome))
    _SESSION_DURATION.observe(seconds, (endpoint,))


def realtime_message(direction: str) -> None:
    """One of a session of voice has come."""
    _REALTIME_MESSAGES.add((direction,))


def timed_call(tenant_id: str, endpoint: str, outcome: str) -> None:
    """A call that is billed by time is made, or settled."""
    _TIMED_CALLS.add((tenant_id, endpoint, outcome))


def timed_calls_open(count: int) -> None:
    """So many are not settled, as far as this worker has to tell."""
    _TIMED_CALLS_OPEN.set(count)
