"""Long work, done aside: in a thread, one piece after another, so that the loop goes on.

It helps where the work is Python, which gives way every few milliseconds; a call into C holds
everybody up all the same, and has to be short by the size of what it is given. One thread, because
two would not be faster, and would get in the loop's way twice as often.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

_thread = ThreadPoolExecutor(1, "aside")
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(owners: tuple[str, str], work: Callable[[*Ts], T], *given: *Ts) -> T:
    """What `work` returns or raises; if it has begun, it is done though nobody waits any more.

    It is for a tenant and a user, the `owners`: tenants have turns, and in a tenant its users, so
    that who has much to do makes others wait for one piece of it and no more.
    """
    tenant, user = owners
    async with _turn_of(user), _turn_of(tenant):
        return await asyncio.get_running_loop().run_in_executor(_thread, work, *given)


def _turn_of(owner: str) -> asyncio.Lock:
    turn = _turns.get(owner)
    if turn is None:
        turn = _turns[owner] = asyncio.Lock()
    return turn
