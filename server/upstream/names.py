"""Names: the addresses of upstreams' names, looked up in threads that nobody else waits for.

The system's look-up cannot be given up: a name whose DNS is silent holds its thread for half a
minute or longer, whether or not somebody still waits for it. So each has a thread of its own, and
of those a tenant has few.
"""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from weakref import WeakValueDictionary

LOOK_UPS = 128
LOOK_UPS_OF_A_TENANT = 4

Address = tuple[Any, ...]
"""As `socket` has it: host and port, for IPv6 two numbers more."""


class Names:
    """The look-ups of a worker: at most LOOK_UPS at a time, of a tenant LOOK_UPS_OF_A_TENANT, with
    those that nobody waits for any more. Who asks for the same name shares one."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}
        self._room = asyncio.Semaphore(LOOK_UPS)
        # Those of the tenants whose look-ups run or wait.
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def find(
        self, name: str, tenant_id: str, seconds: float, flags: int = 0
    ) -> list[Address]:
        """The addresses of `name`; `tenant_id` is who asks, `flags` are those of getaddrinfo.

        Raises OSError, also when there is no answer, or no room, within `seconds`; UnicodeError.
        """
        try:
            async with asyncio.timeout(seconds):
                if (name, flags) not in self._under_way:
                    await self._begin(name, flags, tenant_id)
                return await asyncio.shield(self._under_way[name, flags])
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "no address in time") from None

    async def _begin(self, name: str, flags: int, tenant_id: str) -> None:
        """Waits for room; then the look-up is under way. Raises OSError if it cannot be."""
        own_room = self._rooms.setdefault(tenant_id, asyncio.Semaphore(LOOK_UPS_OF_A_TENANT))
        with ExitStack() as taken:
            for room in (own_room, self._room):
                await room.acquire()
                taken.callback(room.release)
            key = name, flags
            if key in self._under_way:
                return  # somebody began it meanwhile
            look_up = _in_a_thread(name, flags)
            give_back = taken.pop_all().close

        def end(look_up: "asyncio.Future[list[Address]]") -> None:
            del self._under_way[key]
            give_back()
            if not look_up.cancelled():
                look_up.exception()  # seen, also when nobody waits any more

        self._under_way[key] = look_up
        look_up.add_done_callback(end)


def _in_a_thread(name: str, flags: int) -> "asyncio.Future[list[Address]]":
    """Not one of an executor: those are waited for at the end of the process. Raises OSError."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[list[Address]] = loop.create_future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=flags)
        except Exception as error:
            tell(outcome.set_exception, error)
        else:
            tell(outcome.set_result, [address for *_, address in found])

    def tell(how: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(how, what)

    try:
        threading.Thread(target=look_up, name="look-up", daemon=True).start()
    except RuntimeError:  # as many as the system allows
        raise OSError(errno.EAGAIN, "no thread") from None
    return outcome
