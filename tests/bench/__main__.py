"""`python -m tests.bench [part ...]`: prints a table for each part; about six minutes for all."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    charge,
    first_byte,
    gateway,
    growth,
    holds,
    load,
    memory,
    metrics,
    sign_in,
    streams,
    throughput,
    voice,
)

PARTS: dict[str, Callable[[Path], None]] = {
    "charge": charge.run,
    "holds": holds.run,
    "gateway": gateway.run,
    "first_byte": first_byte.run,
    "growth": growth.run,
    "memory": memory.run,
    "metrics": metrics.run,
    "sign_in": sign_in.run,
    "streams": streams.run,
    "throughput": throughput.run,
    "voice": voice.run,
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    names = parser.parse_args().parts or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    # As an exception, so that the processes that were started are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"One worker, {load.CONNECTIONS} connections, load by {load.generator()}.")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
