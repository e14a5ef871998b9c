"""Line: a connection that changes hands."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple


class Line(NamedTuple):
    """A connection that is handed over. `lost` is whose it was, who is told when it has gone;
    `begun` what has come on it already."""

    transport: asyncio.Transport
    lost: Callable[[BaseException | None], None]
    begun: bytes = b""
