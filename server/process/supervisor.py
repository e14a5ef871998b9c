"""The parent of the workers: forks them, replaces those that die, ends them all.

Sanic's own manager does not restart a crashed worker, can hang for ever on a SIGTERM during
start-up, and kills its whole process group when a worker fails to start.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from server.process.shutdown import SIGNALS, Shutdown

log = logging.getLogger(__name__)

_fork = multiprocessing.get_context("fork")

QUICK_DEATH_SECONDS = 5
FIRST_BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Started:
    slot: int
    at: float


class Supervisor:
    """Runs `work(slot, parent)` in `count` processes, which share `listeners`, until a shutdown.

    `slot` is a number below `count`, of which no other living worker has the same; `parent` is a
    descriptor that becomes readable when the parent has died. `on_death` is called with the slot of
    each worker that has ended. `each_second`, if given, is called about that often; what it raises
    ends it all.

    A worker that has not ended `stop_seconds` after the shutdown began is killed. One that
    hangs while it serves is not: that is for whoever asks /livez to notice.
    """

    def __init__(
        self,
        work: Callable[[int, int], None],
        listeners: Sequence[socket.socket],
        count: int,
        stop_seconds: float,
        shutdown: Shutdown,
        on_death: Callable[[int], None],
        each_second: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._listeners = listeners
        self._count = count
        self._stop_seconds = stop_seconds
        self._shutdown = shutdown
        self._on_death = on_death
        self._each_second = each_second
        self._alive, self._held = os.pipe()
        self._started: dict[BaseProcess, _Started] = {}
        self._quick_deaths = 0
        self._next_start = 0.0

    def run(self) -> None:
        try:
            while not self._shutdown.requested:
                self._start_missing()
                sentinels = [worker.sentinel for worker in self._started]
                wait([self._shutdown.descriptor, *sentinels], self._seconds_to_wait())
                self._reap()
                if self._each_second and not self._shutdown.requested:
                    self._each_second()
        finally:
            self._stop_workers()

    def _seconds_to_wait(self) -> float | None:
        if len(self._started) < self._count:
            return max(self._next_start - time.monotonic(), 0)
        return 1 if self._each_second else None

    def _start_missing(self) -> None:
        while len(self._started) < self._count and not self._shutdown.requested:
            if time.monotonic() < self._next_start:
                return
            slot = self._free_slot()
            worker = _fork.Process(target=self._child, args=(slot,))
            # A signal that came while the child still had our handlers would be lost on it.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                worker.start()
            except OSError as error:
                log.error("Cannot start a worker: %s", error)
                self._next_start = time.monotonic() + 1
                return
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._started[worker] = _Started(slot, time.monotonic())

    def _free_slot(self) -> int:
        used = {started.slot for started in self._started.values()}
        return next(slot for slot in range(self._count) if slot not in used)

    def _child(self, slot: int) -> None:
        self._shutdown.forget()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        # Closing our copy of the write end leaves the parent as its only holder.
        os.close(self._held)
        try:
            self._work(slot, self._alive)
        except Exception as error:
            log.error("Worker failed", exc_info=error)
            sys.exit(1)

    def _reap(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._started if not worker.is_alive()]:
            started = self._started.pop(worker)
            lived = now - started.at
            worker.join()
            self._on_death(started.slot)
            if self._shutdown.requested:
                continue
            log.warning("Worker %s ended with status %s", worker.pid, worker.exitcode)
            # One that lived is replaced at once; those that keep dying, ever more slowly.
            self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
            # Each of them may be killed once without a delay.
            doublings = min(self._quick_deaths - self._count, 10)
            back_off = FIRST_BACK_OFF_SECONDS * 2**doublings if doublings > 0 else 0
            self._next_start = now + min(back_off, LONGEST_BACK_OFF_SECONDS)

    def _stop_workers(self) -> None:
        # Also when it is an error that ends us.
        self._shutdown.requested = True
        log.info("Server shutting down")
        for listener in self._listeners:
            listener.close()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds
        while self._started and time.monotonic() < deadline:
            wait([worker.sentinel for worker in self._started], deadline - time.monotonic())
            self._reap()
        self._signal_all(signal.SIGKILL)
        for worker in self._started:
            worker.join()

    def _signal_all(self, number: int) -> None:
        for worker in self._started:
            if worker.pid and worker.is_alive():
                os.kill(worker.pid, number)
