"""Where a page comes from: another origin than the server's."""

import json
import queue
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote


class _Handler(SimpleHTTPRequestHandler):
    """The files of a folder, and POST for what a page has found."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
        assert isinstance(self.server, _Server)
        self.server.found.put(json.loads(body))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        self.found: queue.Queue[Any] = queue.Queue()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))


class Site:
    """Serves a folder while the body of `with` runs."""

    def __init__(self, folder: Path) -> None:
        self._server = _Server(folder)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def page(self, settings: object) -> str:
        """Its address, with these settings."""
        return f"{self.origin}/page.html#{quote(json.dumps(settings))}"

    def found(self, seconds: float) -> Any:
        """What the next page has found. Raises queue.Empty if none does in time."""
        return self._server.found.get(timeout=seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
