"""Turns of upstreams: what they send is worked on for a moment, and then all else has its turn."""

import asyncio

from server import turns

LIGHT_BYTES = 1024
"""What takes so little that it never waits, as nearly all chunks of streams."""
MOST_IDLE = 200
"""Connections that are kept for a next call: with TLS each takes up to 100 KB, and a tenant may
have thousands of hosts and ports."""


class Turns(turns.Turns):
    """Shared by all upstreams of a loop; the owners are tenants."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.connections = 0
        """That are open, in use or not."""
        self.calls = 0
        """Those that are in use."""

    @property
    def has_many_idle(self) -> bool:
        return self.connections - self.calls > MOST_IDLE
