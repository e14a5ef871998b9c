"""Large calls in pieces: a head, then as much of the body as a test wants."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api import User
from tests.gateway.asking import PATHS
from tests.raw import connect, parse

MIB = 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Upload:
    """A request of which the head has been sent; `answer` is what came of that."""

    def __init__(self, connection: socket.socket, head: bytes) -> None:
        self.connection = connection
        connection.sendall(head)
        received = connection.recv(65536)
        self.is_wanted = received == CONTINUE
        self.answer = None if self.is_wanted else parse(received)[0]

    @property
    def status(self) -> int:
        """100 if the server wants the body."""
        return 100 if self.answer is None else self.answer.status

    @property
    def error(self) -> Any:
        assert self.answer is not None
        return json.loads(self.answer.body)["error"]


@contextmanager
def upload(
    user: User, size: int | None, protocol: str = "openai", path: str = ""
) -> Iterator[Upload]:
    """`size`: of the body that is announced; None if it comes in chunks."""
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    head = (
        f"POST /{user.api.tenant_id}{path or PATHS[protocol]} HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: Bearer {user.api_key}\r\n{length}\r\nExpect: 100-continue\r\n\r\n"
    )
    with connect(str(user.api.client.base_url)) as connection:
        yield Upload(connection, head.encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
