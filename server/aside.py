"""Long work, done aside: in a thread, one piece after another, so that the loop goes on.

It helps where the work is Python, which gives way every few milliseconds; a call into C holds
everybody up all the same, and has to be short by the size of what it is given. One thread, because
two would not be faster, and would get in the loop's way twice as often.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

_thread = ThreadPoolExecutor(1, "aside")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(work: Callable[[*Ts], T], *given: *Ts) -> T:
    """What `work` returns or raises; it is done all the same if nobody waits for it any more."""
    return await asyncio.get_running_loop().run_in_executor(_thread, work, *given)
