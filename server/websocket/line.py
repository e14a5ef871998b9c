"""Line: a connection that changes hands, and what memory it may take."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple


class Line(NamedTuple):
    """A connection that is handed over. `lost` is whose it was, who is told when it has gone;
    `begun` what has come on it already."""

    transport: asyncio.Transport
    lost: Callable[[BaseException | None], None]
    begun: bytes = b""


class Memory(NamedTuple):
    """Whether there is room for so many bytes of a message that is not complete, and for so many
    that wait to be sent; 0 gives back what was taken."""

    received: Callable[[int], bool]
    unsent: Callable[[int], bool]
