"""Bodies of those whom nobody knows: they take no room from those who are known."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api import Api, config
from tests.gateway.uploads import CONTINUE, MIB
from tests.processes import Server
from tests.raw import connect

KIB = 1024
EVENT = 256 * KIB
"""The largest that is read; it counts twice."""
OF_A_CLIENT = 32 * MIB
MORE = 3
ELSEWHERE = "127.0.0.9"
SOLD = {"auth": {"stripe": {"api_key": "sk_test_1", "webhook_secret": "whsec_1"}}}


@pytest.fixture
def selling(client: httpx.Client) -> Api:
    return Api.new_tenant(client, config() | SOLD)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begin(stack: ExitStack, api: Api, path: str, size: int, address: str = "127.0.0.1") -> bool:
    """All of a body but its last byte, from this address; whether it was wanted."""
    parts = urlsplit(str(api.client.base_url))
    assert parts.hostname
    connection = stack.enter_context(
        socket.create_connection((parts.hostname, parts.port or 80), 5, (address, 0))
    )
    head = (
        f"POST /{api.tenant_id}{path} HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    if connection.recv(len(CONTINUE)) != CONTINUE:
        return False
    connection.sendall(b" " * (size - 1))
    return True


def test_unsigned_events_leave_room_for_all_others(selling: Api, stack: ExitStack) -> None:
    number = OF_A_CLIENT // (2 * EVENT)
    wanted = [begin(stack, selling, "/stripe/webhook", EVENT) for _ in range(number + MORE)]
    assert not all(wanted)
    # Of a known user, an administrator, Stripe, and at another tenant.
    user = selling.login()
    assert (
        user.api.post("/charges", {"tokens": 1, "x": "y" * 500_000}, user.headers).status_code
        == 422
    )
    large = config() | SOLD | {"allowed_origins": [f"https://{n:0>50}.example" for n in range(300)]}
    assert selling.put_config(large).status_code == 200
    assert begin(stack, selling, "/stripe/webhook", EVENT, ELSEWHERE)
    other = Api.new_tenant(selling.client, config() | SOLD)
    assert begin(stack, other, "/stripe/webhook", EVENT, ELSEWHERE)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/realtime/callbacks/x", MIB, 204), ("/stripe/webhook", EVENT, 404)],
    ids=["callbacks", "events where nothing is sold"],
)
def test_what_is_of_no_use_is_not_kept(
    api: Api, selling: Api, path: str, size: int, status: int, stack: ExitStack
) -> None:
    for _ in range(OF_A_CLIENT // size):
        begin(stack, api, path, size)
    assert begin(stack, selling, "/stripe/webhook", EVENT)
    assert api.post(path, {}).status_code == status


def test_a_notice_is_small(client: httpx.Client) -> None:
    apple = {
        "auth": {"apple_oauth": {"client_id": "app"}},
        "user_groups": config()["user_groups"]
        | {"apple_logged_in": config()["user_groups"]["paid"]},
    }
    api = Api.new_tenant(client, config() | apple)
    reply = api.post("/auth/apple/notifications", {"payload": "x" * 40_000})
    assert reply.status_code == 413


def test_requests_that_are_sent_ahead_wait_outside(selling: Api, gateway: Server) -> None:
    """Each has a body, after which the connection is read on."""
    head = f"POST /{selling.tenant_id}/stripe/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 2"
    burst = f"{head}\r\n\r\n{{}}".encode() * 1_000
    memory, until = gateway.resident(), time.monotonic() + 1
    with connect(gateway.url) as connection:
        connection.settimeout(0.01)
        left = memoryview(burst)
        while time.monotonic() < until:
            with suppress(TimeoutError):
                left = left[connection.send(left) :] or memoryview(burst)
            with suppress(TimeoutError):
                connection.recv(65536)
        assert gateway.resident() - memory < 15 * MIB
