"""A listener in a thread of its own, for what no server library would do with a connection."""

import socket
import threading
from types import TracebackType
from typing import Self


class Acceptor:
    """Accepts on a free port of 127.0.0.1, at `url`, while the body of `with` runs."""

    def __init__(self, backlog: int | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def accepted(self, connection: socket.socket) -> None:
        """A connection has come. Called in the thread that accepts, so it must not wait."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, name="acceptor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone does not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted(connection)
