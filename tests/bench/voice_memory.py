"""What a session of voice takes in a worker: a silent one, and one with all that may wait in it."""

import asyncio
import socket
from struct import pack
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from server.websocket.reading import FREE_BYTES
from tests.api import User
from tests.bench.throughput import memory_mb

FILL_SECONDS = 15
"""In which the provider says more than the system keeps for a client, 4 MB."""
_UNFINISHED = b"\x81\xff" + pack("!Q", FREE_BYTES) + bytes(4) + b"x" * (FREE_BYTES - 1)
"""A message but its last byte."""
_ASK = '{"type":"response.create"}'


async def weigh(url: str, users: list[User], count: int, pid: int) -> tuple[float, float]:
    """KiB of each: when it is open, and when its client has read nothing of what the provider says,
    and has not finished a message."""
    empty = memory_mb(pid)
    connections = [await _open(url, users[number % len(users)]) for number in range(count)]
    silent = memory_mb(pid) - empty
    for connection in connections:
        await connection.send(_ASK)
    await asyncio.sleep(1)
    for connection in connections:
        connection.transport.write(_UNFINISHED)
    await asyncio.sleep(FILL_SECONDS)
    full = memory_mb(pid) - empty
    for connection in connections:
        connection.transport.abort()
    return silent / count * 1024, full / count * 1024


async def _open(url: str, user: User) -> ClientConnection:
    line = socket.socket()
    # The system keeps little for it, and the library reads little ahead.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024)
    address = urlsplit(url)
    line.connect((address.hostname, address.port))
    connection = await connect(
        url,
        sock=line,
        additional_headers=user.headers,
        compression=None,
        ping_interval=None,
        max_queue=1,
    )
    await connection.recv()  # session.created
    return connection
