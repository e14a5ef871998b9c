"""Tasks on which others wait, and which therefore must not end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
# After so long without a fault, the next one counts as the first.
FORGET_SECONDS = 10.0


async def keep_going(step: Callable[[], Awaitable[None]], what: str) -> None:
    """Runs `step` again and again, until it is cancelled.

    What a step raises is logged as a fault of `what`, and costs no more than that step: a task
    that ends unseen leaves all who wait on it waiting for ever.
    """
    pause, failed_at = FIRST_PAUSE_SECONDS, 0.0
    while True:
        try:
            await step()
        except Exception:
            log.exception("%s failed, and goes on", what)
            is_new = monotonic() - failed_at > FORGET_SECONDS
            pause = FIRST_PAUSE_SECONDS if is_new else min(2 * pause, LONGEST_PAUSE_SECONDS)
            failed_at = monotonic()
            await asyncio.sleep(pause)
