"""Many requests, each of them cheap to send: refused, pipelined, unread, or of somebody unknown."""

import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any

from tests.abuse.attackers import MEBIBYTE, UNDER_WAY, Attack, Victim, at_once
from tests.abuse.heavy_requests import CHAT, members
from tests.raw import connect

READ = 64 * 1024
BURST_BYTES = 128 * 1024


def _refused(victim: Victim) -> None:
    """Each of a megabyte, each with 131,000 faults, by clients that do not read."""
    tenant_id = victim.put_tenant()
    body, keys = members(MEBIBYTE - 10), [victim.log_in(tenant_id) for _ in range(30)]
    waiting = iter(range(10**9))

    def ask() -> None:
        key = keys[next(waiting) % len(keys)]
        head = victim.head(f"/{tenant_id}/charges", key, length=len(body))
        _send_unread(victim, head + body)

    at_once(30, ask)


def _send_unread(victim: Victim, data: bytes) -> None:
    """For 10 s it reads nothing."""
    with connect(victim.url) as connection, suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        victim.saw(UNDER_WAY)
        connection.sendall(data)
        time.sleep(10)


def _refused_and_read(victim: Victim) -> None:
    tenant_id = victim.put_tenant()
    key, body = victim.log_in(tenant_id), members(MEBIBYTE - 10)
    at_once(2, lambda: victim.post(f"/{tenant_id}/charges", key, body))


def pipelined(
    line: str,
    count: int,
    victim: Victim,
    *,
    unread: bool = False,
    config: dict[str, Any] | None = None,
    body: str = "",
) -> None:
    """The same request again and again on a connection, none of whose replies is waited for."""
    tenant_id = victim.put_tenant(config)
    key = victim.log_in(tenant_id)
    lines = [line.format(tenant=tenant_id), "Host: x", f"X-API-Key: {key}"]
    if body:
        lines += [f"Content-Length: {len(body)}"]
    one = "\r\n".join([*lines, "", body]).encode()
    burst = one * (BURST_BYTES // len(one))

    def flood() -> None:
        if unread:
            _send_unread(victim, burst * 10)
            return
        with connect(victim.url) as connection, suppress(OSError):
            connection.settimeout(0.01)
            left = b""
            while True:
                with suppress(TimeoutError):
                    left = left or burst
                    left = left[connection.send(left) :]
                with suppress(TimeoutError):
                    while reply := connection.recv(READ):
                        if reply.startswith(b"HTTP/1.1 "):
                            victim.saw(int(reply[9:12]))
                        if len(reply) < READ:
                            break

    at_once(count, flood)


def _one_after_the_other(line: str, victim: Victim) -> None:
    """On two connections, as fast as they are answered."""
    tenant_id = victim.put_tenant()
    key = victim.log_in(tenant_id)
    lines = line.format(tenant=tenant_id, key=key).split("|")
    one = "\r\n".join([lines[0], "Host: x", *lines[1:], "", ""]).encode()

    at_once(2, partial(victim.send_in_a_row, lambda: one))


def _chunks_of(size: int, victim: Victim) -> None:
    """A large body in tiny chunks: six bytes on the wire for each byte of it."""
    tenant_id = victim.put_tenant()
    key = victim.log_in(tenant_id)
    head = victim.head(f"/{tenant_id}{CHAT}", key)
    piece = b"%x\r\n%b\r\n" % (size, b" " * size)
    body = piece * (MEBIBYTE // len(piece))
    count = 10 * MEBIBYTE // size // (MEBIBYTE // len(piece))
    at_once(2, lambda: victim.send(head, *[body] * count, b"0\r\n\r\n"))


def _idle(count: int, data: bytes, victim: Victim) -> None:
    """Connections on which a request begins, and does not go on."""

    def wait() -> None:
        with connect(victim.url) as connection, suppress(OSError):
            connection.settimeout(60)
            connection.sendall(data)
            victim.saw(UNDER_WAY)
            connection.recv(1)

    at_once(count, wait)


def _comes_and_goes(victim: Victim) -> None:
    at_once(2, lambda: victim.send(b"GET / HTTP/1.1\n"))


LOGIN_TO_COME = b"POST /abc/auth/anonymous HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n"
WRONG = "Authorization: Bearer wrong-token-0123456789"
ATTACKS = [
    Attack("refusals_unread", _refused, True),
    Attack("refusals_read", _refused_and_read),
    Attack("pipelined_pages", partial(pipelined, "GET / HTTP/1.1", 2)),
    Attack("pipelined_documents", partial(pipelined, "GET /docs/openapi.json HTTP/1.1", 2)),
    Attack(
        "documents_unread",
        partial(pipelined, "GET /docs/openapi.json HTTP/1.1", 50, unread=True),
        True,
    ),
    Attack("pipelined_faults", partial(pipelined, "GET /nowhere HTTP/1.1", 2)),
    Attack("pipelined_balances", partial(pipelined, "GET /{tenant}/balance HTTP/1.1", 2)),
    Attack("pipelined_logins", partial(pipelined, "POST /{tenant}/auth/anonymous HTTP/1.1", 2)),
    Attack(
        "ledgers_unread",
        partial(pipelined, "GET /{tenant}/ledger?limit=200 HTTP/1.1", 50, unread=True),
    ),
    Attack(
        "guesses_of_the_admin_token",
        partial(_one_after_the_other, f"GET /{{tenant}}/admin/config HTTP/1.1|{WRONG}"),
    ),
    Attack(
        "guesses_of_keys",
        partial(_one_after_the_other, f"GET /{{tenant}}/balance HTTP/1.1|{WRONG}"),
    ),
    Attack(
        "unknown_tenants",
        partial(_one_after_the_other, "GET /x-unknown/balance HTTP/1.1|X-API-Key: a"),
    ),
    Attack("chunks_of_a_byte", partial(_chunks_of, 1)),
    Attack("chunks_of_two_bytes", partial(_chunks_of, 2), True),
    Attack("idle_connections", partial(_idle, 8000, b"")),
    Attack("heads_without_end", partial(_idle, 2000, b"GET / HTTP/1.1\r\nX: " + b"x" * 8000), True),
    Attack("bodies_without_end", partial(_idle, 8000, LOGIN_TO_COME), True),
    Attack("connections_that_come_and_go", _comes_and_goes),
]
