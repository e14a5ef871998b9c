"""What must outlast what: the table of server/timeouts.py, and with it the settings."""

import re

import pytest

from server.settings import Settings
from server.timeouts import Timeouts
from tests.processes import ROOT

T, S = Timeouts(), Settings()
PRELUDE = (ROOT / "lua" / "prelude" / "base.lua").read_text()
# What note_returned keeps a settle's outcome for.
KEPT_SECONDS = int(re.findall(r"^local HOUR_MS = (\d+)$", PRELUDE, re.MULTILINE)[0]) / 1000


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        # A worker that lives misses no deadline, though an extension fails.
        (2 * T.extend + S.redis_timeout, T.hold),
        # A settle is tried again before its hold has gone back by itself.
        (T.settle_pause + S.redis_timeout, T.hold),
        # The last try of a settle still finds that its hold has gone back.
        (T.settle + T.settle_pause + S.redis_timeout, KEPT_SECONDS),
        # The end of a worker, after the grace: a stream reads on before it is settled ...
        (T.read_on, T.finish),
        # ... and all of it comes before the supervisor loses patience.
        (T.abort + T.cancel + T.finish, T.kill),
        # A call that waits for tokens has its answer within the grace.
        (T.tokens_held + S.redis_timeout, S.grace_seconds),
        # A connection that becomes idle is closed within the grace.
        (T.idle_connection, S.grace_seconds),
        # The limits of a connection are looked at often enough to mean what they say.
        (2 * T.client_check, min(T.header, T.body, T.unread, T.linger, T.keep_alive)),
        (2 * T.upstream_check, min(T.first_byte, T.idle, T.read_on, T.leave)),
        # An endpoint that does not connect leaves time for those to fall back on.
        (T.connect, T.first_byte / 10),
        # A silent end of a WebSocket is found before a balancer gives it up.
        (2 * T.heartbeat, 60),
        # Who does not read is found as soon as who is silent.
        (T.unread_messages + 2 * T.client_check, 2 * T.heartbeat),
        # A session of voice can end within the grace.
        (T.let_end + T.read_on + 2 * T.heard, S.grace_seconds),
        # Balancers keep connections for 60 s, and must be the ones that close them.
        (60, T.keep_alive),
    ],
)
def test_what_must_outlast_what(shorter: float, longer: float) -> None:
    assert shorter < longer
