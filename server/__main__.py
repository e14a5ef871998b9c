"""The command line: `python -m server`, also installed as `vibe-server`."""

import gc
import sys

from server.process.shutdown import Shutdown


def main() -> int:
    """Runs the command; the exit status."""
    # Before the rest is imported, which takes a while: a signal that comes meanwhile must count,
    # and to process 1 of a container the kernel delivers none that it does not handle.
    shutdown = Shutdown()
    # What is imported stays: to look for garbage in it takes a tenth of the start. `run` enables it
    # again when it has imported all.
    gc.disable()
    from server.process.command import run

    return run(shutdown)


if __name__ == "__main__":
    sys.exit(main())
