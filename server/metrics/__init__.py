"""What is measured, for Prometheus: each metric, and the function that records it.

A worker counts in its own memory (server/metrics/families.py), where a charge pays some
microseconds for all of it; the workers of a server share what they counted
(server/metrics/shared.py), so that any of them can answer for all. No label is a user's, and
none is made of what a client sent.
"""

from server.metrics import voice
from server.metrics.billing import OF_BILLING
from server.metrics.families import Counter, Family, Gauge, Histogram
from server.metrics.voice import realtime_message as realtime_message
from server.metrics.voice import session_ended as session_ended
from server.metrics.voice import session_opened as session_opened
from server.metrics.voice import timed_call as timed_call
from server.metrics.voice import timed_calls_open as timed_calls_open

_REPLY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CALL_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_FLUSH_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_LATE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_FLUSH_COMMANDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

_REQUESTS = Counter(
    "vibe_requests_total",
    "Requests answered, by route (unknown paths and methods are one) and status.",
    "route",
    "status",
)
_REQUEST_SECONDS = Histogram(
    "vibe_request_duration_seconds",
    "Time from the last bytes of a request to its reply, or to the head of one that is streamed.",
    "route",
    bounds=_REPLY_SECONDS,
)
_REFUSALS = Counter(
    "vibe_refusals_total", "Requests refused, by status and reason.", "status", "reason"
)
_TENANT_LIMITS = Counter(
    "vibe_tenant_limits_total",
    "Requests refused because their tenant had reached a limit, by limit.",
    "tenant",
    "limit",
    bounded=1,
)
_LOGINS = Counter("vibe_logins_total", "Logins, by outcome.", "tenant", "outcome", bounded=1)
_SIGN_INS = Counter(
    "vibe_sign_ins_total",
    "Sign-ins with a login provider, by outcome.",
    "tenant",
    "provider",
    "outcome",
    bounded=1,
)
_REDIRECTS = Counter(
    "vibe_sign_in_redirects_total",
    "Steps (start, callback) of sign-ins by redirect, by outcome: sent, code, or what was wrong.",
    "tenant",
    "provider",
    "step",
    "outcome",
    bounded=1,
)
_LOGIN_PROVIDERS = Counter(
    "vibe_login_provider_requests_total",
    "Questions to login providers (discovery, keys, token, revoke), by outcome: ok, refused, "
    "failed, timed_out.",
    "provider",
    "what",
    "outcome",
)
_LOGINS_SUSPENDED = Gauge(
    "vibe_logins_suspended", "Workers that refuse logins, as Redis has little memory left."
)
_CHARGES = Counter(
    "vibe_charges_total", "Charges over HTTP, by outcome.", "tenant", "outcome", bounded=1
)
_HOLDS = Counter("vibe_holds_total", "Holds over HTTP, by outcome.", "tenant", "outcome", bounded=1)
_SETTLES = Counter(
    "vibe_settles_total", "Settles over HTTP, by outcome.", "tenant", "outcome", bounded=1
)
_TOKENS = Counter(
    "vibe_tokens_total",
    "Tokens taken from balances, by what took them: charged, settled, called (provider calls).",
    "tenant",
    "outcome",
    bounded=1,
)
_OVERRUN = Counter(
    "vibe_overrun_tokens_total",
    "Tokens that were used and not taken, as the balance did not cover them.",
    "tenant",
    bounded=1,
)
_OPEN_HOLDS = Gauge("vibe_open_holds", "Holds of provider calls that are under way.")
_EXPIRED_HOLDS = Counter(
    "vibe_expired_holds_total", "Holds that went back at their deadline, as far as was noticed."
)
_SETTLE_RETRIES = Counter(
    "vibe_settle_retries_total", "Settles of provider calls that Redis did not answer, repeated."
)
_CALLS = Counter(
    "vibe_upstream_calls_total",
    "Calls to providers, by what the endpoint was asked for and by outcome.",
    "tenant",
    "endpoint",
    "api",
    "outcome",
    bounded=2,
)
_CALL_TOKENS = Counter(
    "vibe_upstream_tokens_total",
    "Tokens taken for calls to providers, likewise.",
    "tenant",
    "endpoint",
    "api",
    "outcome",
    bounded=2,
)
_CALL_DURATION = Histogram(
    "vibe_upstream_call_duration_seconds",
    "Time of calls to providers, to the end of the reply.",
    "endpoint",
    bounds=_CALL_SECONDS,
    bounded=1,
)
_STREAMS = Gauge("vibe_open_streams", "Streamed replies that are under way.")
_FLUSH_SIZE = Histogram(
    "vibe_redis_flush_commands",
    "Commands that were sent to Redis at once.",
    bounds=_FLUSH_COMMANDS,
)
_FLUSH_DURATION = Histogram(
    "vibe_redis_flush_duration_seconds",
    "Time until Redis had answered all that were sent at once.",
    bounds=_FLUSH_SECONDS,
)
_FAILURES = Counter(
    "vibe_redis_failures_total", "Connections to Redis that failed, or could not be made in time."
)
_LATE = Histogram(
    "vibe_loop_late_seconds",
    "How late a worker's loop came around, looked at 20 times a second.",
    bounds=_LATE_SECONDS,
)
_WORKERS = Gauge("vibe_workers", "Worker processes that serve.")
_REPLACEMENTS = Counter(
    "vibe_worker_replacements_total", "Worker processes that replaced one that had died."
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (*globals().values(), *OF_BILLING, *vars(voice).values())
    if isinstance(family, Family)
}
"""Each metric by its name."""

UNKNOWN_ROUTE = "unknown"


def request_answered(route: str, status: int, seconds: float) -> None:
    """A request is answered; `route` as in `POST /{tenantId}/charges`, or UNKNOWN_ROUTE."""
    _REQUESTS.add((route, status))
    _REQUEST_SECONDS.observe(seconds, (route,))


def request_refused(reason: str, status: int) -> None:
    """A request is answered with a refusal; `reason` is its label."""
    _REFUSALS.add((status, reason))


def tenant_limited(tenant_id: str, limit: str) -> None:
    """A request is refused by a limit of its tenant's, called as in the tenant's config."""
    _TENANT_LIMITS.add((tenant_id, limit))


def login_answered(tenant_id: str, outcome: str) -> None:
    """A request to log in; `outcome` here and below: one of a few words, or a refusal's label."""
    _LOGINS.add((tenant_id, outcome))


def sign_in_answered(tenant_id: str, provider: str, outcome: str) -> None:
    """A request to sign in with a login provider."""
    _SIGN_INS.add((tenant_id, provider, outcome))


def redirect_answered(tenant_id: str, provider: str, step: str, outcome: str) -> None:
    """A browser that signs in by redirect was here."""
    _REDIRECTS.add((tenant_id, provider, step, outcome))


def login_provider_asked(provider: str, what: str, outcome: str) -> None:
    """A login provider was asked for `what`, as in the metric's description."""
    _LOGIN_PROVIDERS.add((provider, what, outcome))


def logins_suspended(are_now: bool) -> None:
    """This worker refuses logins from now on, as Redis has little memory left; or serves them."""
    _LOGINS_SUSPENDED.add(amount=1 if are_now else -1)


def charge_answered(tenant_id: str, outcome: str, tokens: int = 0) -> None:
    """A request to charge; `tokens`: what was taken."""
    _CHARGES.add((tenant_id, outcome))
    if tokens:
        _TOKENS.add((tenant_id, "charged"), tokens)


def hold_answered(tenant_id: str, outcome: str) -> None:
    """A request for a hold; for those of the gateway see `hold_opened`."""
    _HOLDS.add((tenant_id, outcome))


def settle_answered(tenant_id: str, outcome: str, tokens: int = 0) -> None:
    """A request to settle; `tokens`: what was taken."""
    _SETTLES.add((tenant_id, outcome))
    if tokens:
        _TOKENS.add((tenant_id, "settled"), tokens)


def overrun(tenant_id: str, tokens: int) -> None:
    """A settle took so many tokens less than the cost, as the balance did not cover it."""
    _OVERRUN.add((tenant_id,), tokens)


def hold_opened() -> None:
    """The gateway has made a hold; `hold_closed` when it is settled or given up."""
    _OPEN_HOLDS.add()


def hold_closed() -> None:
    _OPEN_HOLDS.add(amount=-1)


def holds_expired(count: int) -> None:
    _EXPIRED_HOLDS.add(amount=count)


def settle_repeated() -> None:
    _SETTLE_RETRIES.add()


def call_ended(
    tenant_id: str, endpoint: str, api: str, outcome: str, seconds: float, tokens: int
) -> None:
    """One call to a provider; `api`: which of its operations; `tokens`: what was taken for it."""
    _CALLS.add((tenant_id, endpoint, api, outcome))
    _CALL_DURATION.observe(seconds, (endpoint,))
    if tokens:
        _CALL_TOKENS.add((tenant_id, endpoint, api, outcome), tokens)
        _TOKENS.add((tenant_id, "called"), tokens)


def stream_opened() -> None:
    _STREAMS.add()


def stream_closed() -> None:
    _STREAMS.add(amount=-1)


def flushed(commands: int, seconds: float) -> None:
    """One flush to Redis, answered."""
    _FLUSH_SIZE.observe(commands)
    _FLUSH_DURATION.observe(seconds)


def redis_failed() -> None:
    _FAILURES.add()


def loop_came_around(late: float) -> None:
    """`late`: seconds for which something held it up."""
    _LATE.observe(late)


def worker_replaced() -> None:
    """This process is a worker in the place of one that died."""
    _REPLACEMENTS.add()


def worker_serves() -> None:
    _WORKERS.add()
