"""A provider of voice that says exactly what a test gives it, also what none would."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

SESSION = {"type": "realtime", "id": "sess_1", "model": "voice"}
CREATED = json.dumps({"type": "session.created", "session": SESSION})
UPDATED = json.dumps({"type": "session.updated", "session": SESSION})


@contextmanager
def saying(texts: Sequence[str] = (), created: str = CREATED) -> Iterator[str]:
    """Its URL. Sessions begin with `created`, and once they are configured all `texts` come, as
    fast as they are taken."""

    def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            connection.send(created)
            connection.recv()
            for text in (UPDATED, *texts):
                connection.send(text)
            for _ in connection:
                pass

    with serve(talk, "127.0.0.1", 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
