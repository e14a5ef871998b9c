"""The command line: `python -m server`, also installed as `vibe-server`."""

import sys

from server.process.shutdown import Shutdown


def main() -> int:
    """Runs the command; the exit status."""
    # Before the rest is imported, which takes a while: a signal that comes meanwhile must count,
    # and to process 1 of a container the kernel delivers none that it does not handle.
    shutdown = Shutdown()
    from server.process.command import run

    return run(shutdown)


if __name__ == "__main__":
    sys.exit(main())
