"""What one process of the tests at a time may do: pytest's workers install the same packages."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import ROOT

BUILD = ROOT / "build"


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Waits for others who do it."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
