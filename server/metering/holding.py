"""Holds for our own calls: settled whatever becomes of the call, as long as this worker lives.

A worker that dies settles nothing; its holds go back at their deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from random import getrandbits
from types import TracebackType
from typing import Any, Self

from server import metrics
from server.errors import InvalidApiKey, NotSent, Unavailable, UnknownHold, Unreadable
from server.metering.errors import PaymentRequired
from server.metering.meter import Meter
from server.metering.results import Held, SettleResult
from server.metering.rules import NO_RULES, Rules
from server.metering.waiting import Waiting
from server.tasks import keep_going
from server.timeouts import Timeouts
from server.who import Ref, Who

log = logging.getLogger(__name__)

EXTENDED_AT_ONCE = 32


@dataclass(slots=True)
class Ending:
    """What a hold is settled to: `tokens` are taken, 0 releases it; the ledger says `ref`."""

    tokens: int
    ref: Ref


class Holding:
    """Makes holds, extends them while their calls last, and settles them."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self.ttl_ms = int(timeouts.hold * 1000)
        self.waiting = Waiting(timeouts)
        self._open: set[Hold] = set()
        self._extending: asyncio.Task[None] | None = None
        # The loop keeps only weak references to tasks, and a shutdown must wait for these.
        self._calls: set[asyncio.Task[Any]] = set()
        self._settles: set[asyncio.Task[Any]] = set()

    def wait_for(self, call: asyncio.Task[Any]) -> None:
        """A call that goes on without its client; a shutdown waits for it."""
        _keep(call, self._calls)

    def hold(
        self,
        meter: Meter,
        who: Who,
        most: int,
        least: int,
        ref: Ref,
        end: Callable[[], Awaitable[Ending]],
        rules: Rules = NO_RULES,
    ) -> "Hold":
        """Holds `most` tokens, or what is left of them but at least `least`, while the body of
        `async with` runs, and then settles to what `end` returns. Where the user's other holds have
        what is missing, it waits for that.

        `end` is called when the body has run, however that ended: once, unless the caller is
        cancelled while it waits, then again. Nothing that happens to the caller can stop the
        settle. Entering raises as Meter.hold, and TokensHeld; a hold whose outcome is unknown is
        released, and the body does not run.
        """
        return Hold(self, meter, who, most, least, ref, end, rules)

    def owe(self, meter: Meter, who: Who, ending: Ending) -> asyncio.Task[None]:
        """Charges for what ran without a hold: what the balance has, the rest is overrun."""

        async def end() -> Ending:
            return ending

        owed = Hold(self, meter, who, 0, 0, ending.ref, end, NO_RULES)
        return self.settle_later(owed._settle_for_certain())

    async def finish(self, deadline: float) -> None:
        """Waits for the calls and settles under way; the loop's time is `deadline` when the calls
        are cancelled, and the settles that have not got through are given up and counted in the
        log, after a moment at least."""
        now = asyncio.get_running_loop().time
        if await _pending(self._calls, deadline - now()):
            for call in self._calls:
                call.cancel()
            await _pending(self._calls, self.timeouts.cancel)
        pending = await _pending(self._settles, max(deadline - now(), self.timeouts.finish))
        if pending:
            log.error("%d settles did not get through before the shutdown", len(pending))
        for task in (*pending, self._extending):
            if task is not None:
                task.cancel()

    def opened(self, hold: "Hold") -> None:
        metrics.hold_opened()
        self._open.add(hold)
        if self._extending is None:
            self._extending = asyncio.create_task(keep_going(self._extend_all, "Extending holds"))

    def closed(self, hold: "Hold") -> None:
        metrics.hold_closed()
        self._open.discard(hold)

    def settle_later(self, settle: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(settle)
        _keep(task, self._settles)
        return task

    async def _extend_all(self) -> None:
        """Moves the deadlines of all open holds, after a while. One task for all: most calls end
        before their hold's first time, and a timer for each would be made for nothing."""
        await asyncio.sleep(self.timeouts.extend)
        waiting = list(self._open)
        while waiting:
            some = [waiting.pop() for _ in range(min(EXTENDED_AT_ONCE, len(waiting)))]
            extending = (hold.extend() for hold in some)
            for outcome in await asyncio.gather(*extending, return_exceptions=True):
                # One user's broken record must not cost the others their holds.
                if isinstance(outcome, Unreadable):
                    log.error("A hold could not be extended: %s", outcome.reason)
                elif isinstance(outcome, Exception):
                    log.error("A hold could not be extended", exc_info=outcome)


class Hold:
    """A hold for the body of `async with`, where `held` is what it got. `settled` is what the
    settle took, for after a body that came to its end; None if that is not known yet."""

    held: Held

    # A class, as contextlib's generators cost a call several microseconds.
    def __init__(
        self,
        holding: Holding,
        meter: Meter,
        who: Who,
        most: int,
        least: int,
        ref: Ref,
        end: Callable[[], Awaitable[Ending]],
        rules: Rules,
    ) -> None:
        self.settled: SettleResult | None = None
        self.is_waiting = False
        """For tokens that others hold: nothing is held, and the call has not begun."""
        self.may_wait = True
        """Not when nobody waits for the call itself any more."""
        self._holding = holding
        self._meter = meter
        self._who = who
        self._most = most
        self._least = least
        self._ref = ref
        self._end = end
        self._rules = rules
        self._ending: Ending | None = None
        self._may_have_settled = False
        self._is_left = False
        # New, but no secret: over HTTP nobody can settle it.
        self._hold_id = f"{getrandbits(128):032x}"

    async def __aenter__(self) -> Self:
        try:
            try:
                self.held = await self._ask()
            except PaymentRequired as refusal:
                self.held = await self._wait(refusal)
        except NotSent:
            raise
        except (Unavailable, asyncio.CancelledError):
            self._ending = Ending(0, self._ref)
            self._holding.settle_later(self._settle_for_certain())
            raise
        self._holding.opened(self)
        return self

    def _ask(self) -> Coroutine[Any, Any, Held]:
        return self._meter.hold(
            self._who,
            self._most,
            self._least,
            self._holding.ttl_ms,
            "own",
            self._ref,
            hold_id=self._hold_id,
            rules=self._rules,
        )

    async def _wait(self, refusal: PaymentRequired) -> Held:
        if not self.may_wait:
            raise refusal
        self.is_waiting = True
        try:
            waiting = self._holding.waiting
            return await waiting.until_held(self._who, refusal, self._ask)
        finally:
            self.is_waiting = False

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After a body that came to its end, this waits for the settle's first try."""
        self._holding.closed(self)
        if self._is_left:
            return
        if error is not None:
            self._holding.settle_later(self._settle_for_certain())
            return
        # In this task: one of its own would cost each call several microseconds.
        try:
            await self._settle()
        except BaseException as failure:
            self._holding.settle_later(self._settle_for_certain())
            if not isinstance(failure, Exception):
                raise
            if isinstance(failure, Unreadable):
                log.error("A settle failed, and is repeated: %s", failure.reason)
            elif not isinstance(failure, Unavailable):
                log.exception("A settle failed, and is repeated")

    def leave(self) -> None:
        """Somebody else settles it, and extends it until then."""
        self._is_left = True

    async def extend(self) -> None:
        """A later deadline, if Redis is there and the hold still is: when Redis was away past the
        deadline, the settle charges all the same."""
        with suppress(Unavailable, UnknownHold):
            await self._meter.extend(self._who, self._hold_id, self._holding.ttl_ms)

    async def _settle(self) -> None:
        """Raises Unavailable, and what Redis says of a record that is broken."""
        if self._ending is None:
            try:
                self._ending = await self._end()
            except Exception:
                log.exception("The cost of a call could not be found, and is not charged")
                self._ending = Ending(0, self._ref)
        tokens, ref, who = self._ending.tokens, self._ending.ref, self._who
        try:
            settled = await self._meter.settle(
                who, self._hold_id, tokens, "own", ref, self._may_have_settled
            )
        except InvalidApiKey:
            return  # a user that has expired has nothing to settle
        except (NotSent, Unreadable):
            raise
        except BaseException:
            self._may_have_settled = True
            raise
        self.settled = settled
        self._holding.waiting.wake(who.user_id)
        if settled.tokens < tokens and not settled.replayed:
            metrics.overrun(who.tenant_id, tokens - settled.tokens)

    async def _settle_for_certain(self) -> None:
        """Repeats until it gets through: a hold settles once, its first reply is kept."""
        loop, timeouts = asyncio.get_running_loop(), self._holding.timeouts
        deadline, pause = loop.time() + timeouts.settle, 0.1
        while True:
            try:
                await self._settle()
                return
            except Exception as error:
                if loop.time() > deadline:
                    reason = getattr(error, "reason", "") or repr(error)
                    tokens = self._ending.tokens if self._ending else 0
                    log.error("Lost a settle of %d tokens: %s", tokens, reason)
                    return
            metrics.settle_repeated()
            await asyncio.sleep(pause)
            pause = min(pause * 2, timeouts.settle_pause)


def _keep(task: asyncio.Task[Any], tasks: set[asyncio.Task[Any]]) -> None:
    """In `tasks`, until it is done."""
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _pending(tasks: set[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Those that have not ended within `seconds`."""
    if not tasks:
        return set()
    _, pending = await asyncio.wait(tasks, timeout=max(seconds, 0))
    return pending
