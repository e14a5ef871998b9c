"""Ultravox, as far as a server that makes calls sees it, and the socket by which a client joins.

    with UltravoxDouble() as double:             # or: python -m tests.doubles.ultravox --port 4400
        double.script("key-1", Course(bills_after=5))
        # ... make a call at f"{double.url}/api/calls" with the API key "key-1" ...
        [call] = double.calls("key-1")
        double.join(call)
        double.advance(37)
        double.hang_up(call)
        double.advance(5)
        assert call.billed_seconds == 42

The **key** is the API key. `script(key, first, second)` says how the calls of a key go, each in
turn, and all further ones as the last. A **Course** says how one is made, ends and is billed, and
what its callbacks are like; a **Call** has what was asked, and how far it came.

The clock stands still until `advance`, which does all that is due by then, callbacks and their
tries of ten again included, and returns when that is done: 9 hours pass in a moment. Only the
timestamps of callbacks, which the receiver compares with its own clock, are of the real one.

`join` and `hang_up` stand for the client, which may also open the call's `joinUrl` itself. `fault`
makes requests fail until `fault` without a kind. `call_back` sends a callback with any content.
"""

from tests.doubles.ultravox.call import Call, Delivery
from tests.doubles.ultravox.course import Course, Fault
from tests.doubles.ultravox.double import UltravoxDouble

__all__ = ["Call", "Course", "Delivery", "Fault", "UltravoxDouble"]
