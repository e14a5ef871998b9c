"""Ultravox to try the gateway with, without an account. Its clock is the real one.

Usage: python -m tests.doubles.ultravox [--port 4400]
"""

import asyncio
import time

from tests.doubles.listen import Listening, listen, run
from tests.doubles.ultravox.app import create_app
from tests.doubles.ultravox.calls import Calls


async def start(port: int) -> Listening:
    calls = Calls()
    url, end = await listen(create_app(calls), port)
    ticking = asyncio.create_task(_tick(calls))

    async def stop() -> None:
        ticking.cancel()
        await end()

    return url, stop


async def _tick(calls: Calls) -> None:
    while True:
        await calls.clock.advance(max(0, time.time() - calls.clock.now))
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    run("tests.doubles.ultravox", __doc__, 4400, start, "Listening on {url}")
