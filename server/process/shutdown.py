"""SIGTERM and SIGINT of the parent process. Imports little, to be in force as early as can be."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """SIGTERM or SIGINT has come: a flag to ask, and a descriptor to wait on."""

    def __init__(self) -> None:
        self.requested = False
        self.descriptor, self._wake = os.pipe()
        for number in SIGNALS:
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            os.write(self._wake, b"!")

    def forget(self) -> None:
        """The signals end this process again: in a child, or for a command that may just die."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.close(self.descriptor)
        os.close(self._wake)

    def done(self) -> None:
        """All is in order: a further signal must not change the exit status any more."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
