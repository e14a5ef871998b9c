"""One connection to one Redis, on which commands share round trips.

redis-py's cost is per round trip, not per command: so a command issued while a flush is under way
waits, and the next flush sends all that have gathered as one pipeline.

Nothing that may have run is ever sent twice. When a connection fails, the outcome of what was
sent is unknown and its callers get Unavailable; what was still queued gets NotSent. What Redis
says it did not run is sent again: a script it does not know (as text instead of by its name), and
what a node of a Cluster redirects.

Callers get their answer soon after their deadline, whatever becomes of the task that sends: a timer
of its own looks after them.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from server import metrics
from server.errors import NotSent, Unavailable, Unreadable
from server.store.command import Command, Script, pack, send_all, was_closed
from server.store.patience import Limit, Patience
from server.store.queue import Queue
from server.tasks import keep_going

log = logging.getLogger(__name__)

FLUSH_COMMANDS = 512
RECONNECT_SECONDS = 0.1
# The timer's: a caller may wait for up to twice as long beyond its deadline.
OVERDUE_SECONDS = 0.25

# Redis answers, but cannot do its work now: the server's trouble, not a fault of the command.
_CANNOT_NOW = ("LOADING", "OOM", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN", "BUSY", "MISCONF")

Connect = Callable[[], Awaitable[AbstractConnection]]


class Pipeline:
    """Queues commands, flushes them, and reconnects by itself.

    `connect` makes a connected, ready connection; `patience` is what a caller has, from the call to
    the reply. `on_trouble` is called when the connection is lost or cannot be made, `redirect` with
    a command that another node of a Cluster should get.
    """

    def __init__(
        self,
        connect: Connect,
        patience: Patience,
        on_trouble: Callable[[], None] = lambda: None,
        redirect: Callable[[Command, ResponseError], None] | None = None,
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._limit = Limit(patience)
        self._on_trouble = on_trouble
        self._redirect = redirect
        self._queue = Queue()
        self._batch: list[Command] = []
        """What is being sent."""
        self._idle: asyncio.Future[None] | None = None
        """While the task that sends has nothing to do."""
        self._connection: AbstractConnection | None = None
        self._reconnect_soon = False
        self._down: str = ""
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._overdue_check: asyncio.TimerHandle | None = None
        self._busy_since = math.inf

    def start(self) -> None:
        """Connects in the background; commands may be queued at once."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(keep_going(self._step, "Sending to Redis"))
        self._fail_overdue()

    async def tried(self) -> None:
        """Waits until the first attempt to connect has succeeded or failed."""
        await self._tried.wait()

    @property
    def is_down(self) -> bool:
        return bool(self._down)

    @property
    def is_alive(self) -> bool:
        """The task that sends has not ended, and does not hang: each step has its timeout."""
        if self._task is None or self._task.done():
            return False
        longest = 2 * self._patience.seconds + RECONNECT_SECONDS
        return self._patience.now() - self._busy_since < longest

    async def close(self) -> None:
        """Ends at once; commands that still wait fail."""
        if self._overdue_check:
            self._overdue_check.cancel()
        if self._task:
            self._task.cancel()
            self._limit.stop()
            with suppress(asyncio.CancelledError):
                await self._task
        self._queue.fail("closed")
        await self._disconnect()

    def send(self, *args: str | int | bytes) -> asyncio.Future[Any]:
        """Queues a command. Raises ValueError if it cannot be encoded, Unavailable if down."""
        return self._enqueue(Command(pack(*args)))

    def run(self, script: Script, *args: str | int | bytes) -> asyncio.Future[Any]:
        """Queues a script; `args` begin with the number of keys. Raises as `send`."""
        return self._enqueue(Command(pack("EVALSHA", script.sha1, *args), script, args))

    def get(self, key: str) -> asyncio.Future[Any]:
        """Queues a GET, or joins one that is queued and not yet sent. Raises as `send`."""
        command = self._queue.get_of(key)
        if command is None:
            return self._enqueue(Command(pack("GET", key)), key)
        waiter = self._loop.create_future()
        command.waiters.append(waiter)
        return waiter

    def reconnect(self) -> None:
        """Makes a new connection before the next flush."""
        self._reconnect_soon = True
        self._wake()

    def take_over(self, command: Command) -> None:
        """Queues a command that another pipeline could not get done."""
        if self._down:
            command.fail(NotSent(self._down))
        else:
            self._queue.add_first(command)
            self._wake()

    def _enqueue(self, command: Command, key: str = "") -> asyncio.Future[Any]:
        """`key`: of a GET."""
        if self._down:
            raise NotSent(self._down)
        command.deadline = self._patience.deadline()
        if key:
            self._queue.add_get(key, command)
        else:
            self._queue.add(command)
        waiter = self._loop.create_future()
        command.waiters.append(waiter)
        if self._idle is not None:
            self._wake()
        return waiter

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    async def _step(self) -> None:
        if self._queue:
            # Those who have just got their replies run first: what they ask next comes along. So
            # there are a quarter fewer flushes, each of which costs as much as thirty commands.
            await asyncio.sleep(0)
        elif self._connection is not None:
            self._busy_since = math.inf
            self._idle = self._loop.create_future()
            await self._idle
        self._busy_since = self._patience.now()
        if self._connection is None:
            await self._reconnect()
        else:
            await self._flush()

    def _fail_overdue(self) -> None:
        self._overdue_check = self._loop.call_later(OVERDUE_SECONDS, self._fail_overdue)
        latest = self._patience.now() - OVERDUE_SECONDS
        self._queue.fail_overdue(latest)
        for command in self._batch:
            if command.deadline < latest:
                command.fail(Unavailable("Timeout"))

    async def _flush(self) -> None:
        connection = self._connection
        assert connection is not None
        if self._reconnect_soon or await was_closed(connection):
            # Noticed before sending, so the queue can wait for the next connection.
            self._reconnect_soon = False
            await self._disconnect()
            return
        for left in self._batch:  # by a flush that failed in an unforeseen way
            left.fail(Unavailable("failed"))
        # A flush fails as a whole at the deadline of its oldest command; less than half of the
        # timeout would condemn the younger ones to fail with it, and what is not sent is safe.
        batch: list[Command] = []
        self._batch, patience = batch, self._patience
        self._queue.take(FLUSH_COMMANDS, self._busy_since + patience.seconds / 2, batch)
        if not batch:
            return
        answered = 0
        began = perf_counter()
        try:
            with self._limit.until(batch[0].deadline):
                await send_all(connection, batch)
                for command in batch:
                    if command.asking:
                        command.asking = False
                        await connection.read_response(timeout=math.inf)
                    # The connection's own method adds nothing but its timeout, and costs more than
                    # the parsing; one timeout for the whole flush does.
                    reply = await connection._parser.read_response()  # type: ignore[attr-defined]  # of both its parsers
                    if isinstance(reply, ResponseError):
                        self._refused(command, reply)
                    else:
                        command.resolve(reply)
                    answered += 1
        except TimeoutError:
            await self._lose(batch[answered:], "Timeout reading from Redis", stalled=True)
        except (OSError, RedisError) as error:
            await self._lose(batch[answered:], str(error))
        except BaseException:
            await self._lose(batch[answered:], "closed")
            raise
        else:
            self._batch = []
            metrics.flushed(len(batch), perf_counter() - began)

    def _refused(self, command: Command, error: ResponseError) -> None:
        text = str(error)
        if isinstance(error, NoScriptError) and command.script is not None:
            script = command.script
            command.packed = pack("EVAL", script.text, *command.args)
            command.script = None
            self._queue.add_first(command)
        elif self._redirect is not None and isinstance(error, (AskError, TryAgainError)):
            self._redirect(command, error)
        elif isinstance(error, ReadOnlyError):
            # A primary that became a replica: the next connection may find the new primary.
            command.fail(Unavailable(text))
            raise error
        elif text.startswith(_CANNOT_NOW) or getattr(error, "status_code", "") in _CANNOT_NOW:
            command.fail(Unavailable(text))
        else:
            # A key of a wrong type, or what a script could not read: the command did nothing.
            command.fail(Unreadable(text.partition(" script: ")[0]))

    async def _lose(self, sent: Iterable[Command], reason: str, stalled: bool = False) -> None:
        metrics.redis_failed()
        for command in sent:
            command.fail(Unavailable(reason))
        self._batch = []
        await self._disconnect()
        self._on_trouble()
        if stalled:
            self._go_down(reason)

    def _go_down(self, reason: str) -> None:
        if not self._down:
            log.warning("Redis unavailable: %s", reason)
        self._down = reason or "unavailable"
        self._queue.fail(self._down)
        self._on_trouble()

    async def _reconnect(self) -> None:
        """One attempt; when it fails, all who wait fail, and later callers at once."""
        try:
            with self._limit.until(self._patience.deadline()):
                self._connection = await self._connect()
        except Exception as error:
            metrics.redis_failed()
            self._go_down(str(error) or "Timeout connecting to Redis")
            self._tried.set()
            if not isinstance(error, (OSError, RedisError)):
                raise
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._tried.set()
        if self._down:
            log.info("Redis is back")
        self._down = ""

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, RedisError, RuntimeError):
                await connection.disconnect(nowait=True)
