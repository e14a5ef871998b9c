"""Tasks on which others wait, and which therefore must not end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


async def keep_going(step: Callable[[], Awaitable[None]], what: str) -> None:
    """Runs `step` again and again, until it is cancelled.

    What a step raises is logged as a fault of `what`, and costs no more than that step: a task
    that ends unseen leaves all who wait on it waiting for ever.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            await step()
            pause = FIRST_PAUSE_SECONDS
        except Exception:
            log.exception("%s failed, and goes on", what)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
