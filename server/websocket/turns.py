"""Turns of WebSockets: those of a loop share a little of each turn, and each is an owner."""

import asyncio
from weakref import WeakKeyDictionary

from server.turns import Turns

_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = Turns(loop)
    return found
