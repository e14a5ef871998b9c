"""Requests and connections that wait: a stranger must not fill a worker's memory, nor the room that
others' large requests need, by being slow."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle

import httpx

from tests.abuse.attackers import (
    MEBIBYTE,
    NOTHING,
    RICH,
    UNDER_WAY,
    Attack,
    Victim,
    at_once,
    status_of,
)
from tests.abuse.heavy_requests import CHAT, LARGEST, filled
from tests.acceptor import Acceptor
from tests.api import ADMIN
from tests.endpoints import endpoint, text_config
from tests.raw import connect

SIZES = (LARGEST, 4 * MEBIBYTE, 2 * MEBIBYTE, 1_100_000)
"""Announced together, they leave no room for anything."""
HOLDS = 20
"""Of a user, who may have 50."""
AGAIN_SECONDS = 2
"""A connection that was ended is made anew after so long."""


class Silent(Acceptor):
    """A provider that reads all, and never answers."""

    def accepted(self, connection: socket.socket) -> None:
        def read() -> None:
            with connection, suppress(OSError):
                while connection.recv(MEBIBYTE):
                    pass

        threading.Thread(target=read, daemon=True).start()


def _calls(make: Callable[[int], bytes], size: int, count: int, victim: Victim) -> None:
    """Calls with such bodies, held for as long as they last by a provider that does not answer."""
    body = make(size)
    with Silent() as provider:
        tenant_id = victim.put_tenant(text_config({"main": endpoint(provider.url)}, anonymous=RICH))
        keys = cycle([victim.log_in(tenant_id) for _ in range(-(-count // HOLDS))])

        def call() -> None:
            head = victim.head(f"/{tenant_id}{CHAT}", next(keys), length=len(body))
            with connect(victim.url) as connection:
                connection.settimeout(60)
                with suppress(OSError):
                    connection.sendall(head + body)
                    victim.saw(UNDER_WAY)
                victim.saw(status_of(connection))
            time.sleep(AGAIN_SECONDS)

        at_once(count, call)


def _uploads(
    count: int,
    lengths: Sequence[int | None],
    sent: int,
    victim: Victim,
    *,
    tenants: int = 1,
    users: int = 1,
    is_revoked: bool = False,
    goes_on: bool = False,
) -> None:
    """Bodies that are announced so (None: in chunks), of which only `sent` bytes come; with
    `goes_on` a byte each second after that."""
    keys = cycle(_keys(victim, tenants, users))
    if is_revoked:
        keys = cycle([_revoked(victim, *next(keys))])
    sizes, body = cycle(lengths), filled(b'{"messages":[', b"{}", b"]}", sent) if sent else b""

    def upload() -> None:
        (tenant_id, key), length = next(keys), next(sizes)
        head = victim.head(f"/{tenant_id}{CHAT}", key, length=length)
        in_chunks = length is None
        with connect(victim.url) as connection, suppress(OSError):
            connection.sendall(head + (_chunk(body) if in_chunks else body))
            victim.saw(UNDER_WAY)
            more = _chunk(b" ") if in_chunks else b" "
            victim.saw(_status_when_it_comes(connection, more if goes_on else b""))
        time.sleep(AGAIN_SECONDS)

    at_once(count, upload)


def _keys(victim: Victim, tenants: int, users: int) -> list[tuple[str, str]]:
    """Of so many users of each of so many tenants, with their tenants."""
    names = [victim.put_tenant() for _ in range(tenants)]
    return [(name, victim.log_in(name)) for name in names for _ in range(users)]


def _revoked(victim: Victim, tenant_id: str, key: str) -> tuple[str, str]:
    """The same, of no use any more, though each worker remembers it."""
    for _ in range(10):
        httpx.get(f"{victim.url}/{tenant_id}/balance", headers={"X-API-Key": key})
    reply = httpx.delete(f"{victim.url}/{tenant_id}/admin/keys/{key}", headers=ADMIN)
    assert reply.status_code == 204, reply.text
    return tenant_id, key


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _status_when_it_comes(connection: socket.socket, more: bytes) -> int:
    """Until then it sends `more` each second. Raises OSError."""
    connection.settimeout(1)
    while True:
        try:
            reply = connection.recv(65536)
            return int(reply[9:12]) if reply else NOTHING
        except TimeoutError:
            connection.sendall(more)


def _objects(size: int) -> bytes:
    return filled(
        b'{"messages":[{"role":"user","content":"Hi"}],"metadata":{"a":[', b"{}", b"]}}", size
    )


def _text(size: int) -> bytes:
    return b'{"messages":[{"role":"user","content":"' + b"x" * (size - 50) + b'"}]}'


ATTACKS = [
    Attack("calls_of_10_mib_of_objects", partial(_calls, _objects, LARGEST, 3), True),
    Attack("calls_of_1_mib_of_objects", partial(_calls, _objects, MEBIBYTE, 8), True),
    Attack("calls_of_250_kib_of_objects", partial(_calls, _objects, 250_000, 200), True),
    Attack("calls_of_10_mib_of_text", partial(_calls, _text, LARGEST, 12), True),
    Attack("calls_of_250_kib_of_text", partial(_calls, _text, 250_000, 400), True),
    Attack("calls_of_15_kib_of_objects", partial(_calls, _objects, 15_000, 400), True),
    Attack("uploads_of_1_mib_but_a_byte", partial(_uploads, 200, [MEBIBYTE], MEBIBYTE - 1), True),
    Attack("uploads_of_250_kib_but_a_byte", partial(_uploads, 800, [250_000], 249_999), True),
    Attack(
        "uploads_of_many_users",
        partial(_uploads, 200, [LARGEST], MEBIBYTE, users=50),
        True,
    ),
    Attack(
        "uploads_of_many_tenants",
        partial(_uploads, 200, [LARGEST, None], MEBIBYTE, tenants=20),
        True,
        fills_room=True,
    ),
    Attack("silent_uploads", partial(_uploads, 40, SIZES, 0, is_revoked=True)),
    Attack("silent_chunked_uploads", partial(_uploads, 40, [None, *SIZES[1:]], 0)),
    Attack("trickling_uploads", partial(_uploads, 50, SIZES, 300_000, goes_on=True)),
    Attack(
        "trickling_chunks_of_many_users",
        partial(_uploads, 100, [None], 300_000, users=25, goes_on=True),
    ),
]
