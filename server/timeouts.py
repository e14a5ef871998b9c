"""How long clients, providers, holds and the end of a worker are waited for: one table, because
some of these must outlast others. tests/test_timeouts.py holds the inequalities.

All other waits stand where they are used: for Redis REDIS_TIMEOUT (settings.py), by the clock of
store/patience.py, and the pauses of store/ before it connects, refreshes or watches again; for the
hosts of a new config LOOK_UP_SECONDS (upstream/addresses.py); for what is leased of tenants' limits
those of metering/slots.py and leases.py; for the bundled Valkey those of process/embedded.py;
before what failed is begun again those of tasks.py and process/supervisor.py. How long Redis keeps
a reply, to repeat it, is in lua/prelude/base.lua: DAY_MS, HOUR_MS.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. Tests that must not take as long give others."""

    # A client; all of these are kept to within twice `client_check`.
    header: float = 10
    """For the head of a request to arrive, from its first byte on."""
    body: float = 30
    unread: float = 60
    """For a client to read what was sent to it."""
    linger: float = 5
    """For a client to close, or to stop sending, after the last reply."""
    keep_alive: float = 75
    """Between two requests on a connection."""
    client_check: float = 2

    heartbeat: float = 20
    """Between two pings on a WebSocket, and for the pong, or for anything else to come."""
    unread_messages: float = 35
    """For an end of a WebSocket to read what was sent to it, to within twice `client_check`."""

    wrong_tokens: float = 60
    """For which wrong admin tokens are counted, by client, and then told."""

    # A provider; those of a response are kept to within `upstream_check`.
    connect: float = 5
    """For the address of a name, with the wait for other names of the tenant, and again for each
    connection that is tried."""
    first_byte: float = 600
    """For the heads of the replies of all endpoints that a call tries, together."""
    idle: float = 300
    """For each further part of a reply."""
    unpaid: float = 10
    """For the answer to a question that costs nothing."""
    session: float = 10
    """For a session of voice to begin, from the look-up of the provider's name on."""
    whole: float = 900
    """For a reply in one piece, from its head on: its call goes on without a client, and would for
    ever if the reply came byte by byte."""
    read_on: float = 5
    """For the usage of a finished stream whose client has gone."""
    last_usage: float = 5
    """For the same, while its client waits."""
    leave: float = 1
    """For the end of a stream that has finished and reported its usage, and of a body that nobody
    reads on, before its connection is closed."""
    upstream_keep_alive: float = 30
    """Between two calls on a connection."""
    upstream_check: float = 0.25

    challenge: float = 3
    """For the word of a challenge's provider, from the look-up of its name on."""
    login_provider: float = 10
    """For all that one sign-in asks a login provider; for each question a third of it."""

    stripe: float = 10
    """For the answer to a question to Stripe, with its repetitions."""
    timed_provider: float = 10
    """For each question to a provider that bills by time."""
    timed_look: float = 1
    """Between two looks at which of such calls are due."""

    # A session of voice; its responses are calls, with `read_on` and holds as those.
    let_end: float = 5
    """For a response that runs when its session ends, before it is cancelled."""
    created: float = 30
    """For the provider to begin a response that it was asked for."""
    transcribed: float = 30
    """For the transcript of what was said."""
    heard: float = 1
    """For the provider to say what it has heard until a session ended; and again for transcripts
    that are not held by then: they go on without the session."""
    redis_away: float = 30
    """For Redis to come back, before a session that could not hold is closed."""
    ask_redis: float = 1
    """Between two looks whether it has."""

    # A hold of a call.
    hold: float = 60
    """Until it goes back by itself, unless it is extended."""
    extend: float = 20
    """Between two extensions."""
    settle: float = 30 * 60
    """For a settle to get through, tried again and again; Redis knows for longer that its hold has
    gone back (note_returned in lua/prelude/holds.lua), else the last try would charge nothing."""
    settle_pause: float = 5
    """Between two tries at most."""
    tokens_held: float = 20
    """For other calls of the user to give back what a call lacks."""
    ask_again: float = 1
    """Between two looks whether they have, in other workers."""

    # The end of a worker; process/worker.py has its order. `idle_connection` is for the grace; the
    # next three follow it one after the other, while `kill` runs beside them.
    idle_connection: float = 0.2
    """For the next request of a client whose reply was sent: it comes sooner, and is served, if
    the client is busy. Closing at once would reset a request that is on its way."""
    abort: float = 2
    """For the handlers of requests that were aborted."""
    cancel: float = 1
    """For calls that were cancelled, which go on without a client."""
    finish: float = 5.5
    """For the settles of all of them."""
    kill: float = 10
    """Until the supervisor kills a worker that has not ended, from the end of the grace on."""
