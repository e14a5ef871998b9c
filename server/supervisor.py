"""The parent of the workers: forks them, replaces those that die, ends them all.

Sanic's own manager does not restart a crashed worker, can hang for ever on a SIGTERM during
start-up, and kills its whole process group when a worker fails to start.
"""

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

log = logging.getLogger(__name__)

_fork = multiprocessing.get_context("fork")

QUICK_DEATH_SECONDS = 5
LONGEST_BACK_OFF_SECONDS = 10
KILL_AFTER_SECONDS = 10


class Shutdown:
    """SIGTERM or SIGINT has come: a flag to ask, and a descriptor to wait on."""

    def __init__(self) -> None:
        self.requested = False
        self.descriptor, self._wake = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            os.write(self._wake, b"!")

    def forget(self) -> None:
        """In a child, which has signals of its own."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.close(self.descriptor)
        os.close(self._wake)


class Supervisor:
    """Runs `work(listener, parent)` in `count` processes until a shutdown is requested.

    `parent` is a descriptor that becomes readable when the parent has died. A worker gets
    `stop_seconds` to end after SIGTERM.
    """

    def __init__(
        self,
        work: Callable[[socket.socket, int], None],
        listener: socket.socket,
        count: int,
        stop_seconds: float,
        shutdown: Shutdown,
    ) -> None:
        self._work = work
        self._listener = listener
        self._count = count
        self._stop_seconds = stop_seconds
        self._shutdown = shutdown
        self._alive, self._held = os.pipe()
        self._started: dict[BaseProcess, float] = {}
        self._quick_deaths = 0
        self._next_start = 0.0

    def run(self) -> None:
        while not self._shutdown.requested:
            now = time.monotonic()
            if len(self._started) < self._count and now >= self._next_start:
                self._start_worker(now)
                continue
            delay = self._next_start - now if len(self._started) < self._count else None
            sentinels = [worker.sentinel for worker in self._started]
            wait([self._shutdown.descriptor, *sentinels], delay)
            self._reap()
        self._stop_workers()

    def _start_worker(self, now: float) -> None:
        worker = _fork.Process(target=self._child)
        worker.start()
        self._started[worker] = now

    def _child(self) -> None:
        # Closing our copy of the write end leaves the parent as its only holder.
        os.close(self._held)
        self._shutdown.forget()
        self._work(self._listener, self._alive)

    def _reap(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._started if not worker.is_alive()]:
            lived = now - self._started.pop(worker)
            worker.join()
            if self._shutdown.requested:
                continue
            log.warning("Worker %s ended with status %s", worker.pid, worker.exitcode)
            # One that lived is replaced at once; those that keep dying, ever more slowly.
            self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
            back_off = 0.1 * 2**self._quick_deaths if self._quick_deaths > self._count else 0
            self._next_start = now + min(back_off, LONGEST_BACK_OFF_SECONDS)

    def _stop_workers(self) -> None:
        log.info("Server shutting down")
        self._listener.close()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds + KILL_AFTER_SECONDS
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
