"""Large requests at a time are bounded, so that nobody can take all of a worker's memory."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import PATHS, PROTOCOLS, ask, body_of, used, user_at
from tests.processes import Server, eventually
from tests.raw import connect, parse

LARGEST = 10 * 1024 * 1024
ADMITTED = 6
"""Of the largest, in 64 MiB."""


class Upload:
    """A call of which the head has been sent, and the server's answer to that has come."""

    def __init__(self, client: httpx.Client, user: User, protocol: str, size: int) -> None:
        self.connection = connect(str(client.base_url))
        head = (
            f"POST /{user.api.tenant_id}{PATHS[protocol]} HTTP/1.1\r\nHost: test\r\n"
            f"Authorization: Bearer {user.api_key}\r\nContent-Length: {size}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        self.connection.sendall(head.encode())
        answer = self.connection.recv(65536).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.is_admitted = not answer
        if answer:
            (reply,) = parse(answer)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert json.loads(reply.body)["error"]["message"] == "Service Unavailable"


@contextmanager
def upload(
    client: httpx.Client, user: User, protocol: str = "openai", size: int = LARGEST
) -> Iterator[Upload]:
    made = Upload(client, user, protocol, size)
    with made.connection:
        yield made


def is_refused(client: httpx.Client, user: User, protocol: str = "openai") -> bool:
    with upload(client, user, protocol) as another:
        return not another.is_admitted


def descriptors(server: Server) -> int:
    """Open in its only worker, connections among them."""
    (pid,) = server.worker_pids()
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_more_than_fit_are_refused_until_one_has_ended(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, tokens=10**9)
    with ExitStack() as stack:
        uploads = [stack.enter_context(upload(client, user, protocol)) for _ in range(ADMITTED)]
        assert all(one.is_admitted for one in uploads)
        assert is_refused(client, user, protocol)
        # Others do not notice.
        assert ask(user, "Hi", protocol).status_code == 200
        assert ask(user, "x" * 900_000, protocol).status_code == 200
        with httpx.Client(base_url=client.base_url) as chunking:
            body = json.dumps(body_of(protocol, "Hi")).encode()
            path = f"/{user.api.tenant_id}{PATHS[protocol]}"
            uploads.pop().connection.close()
            eventually(lambda: not is_refused(client, user, protocol))
            for _ in range(2 * ADMITTED):
                reply = chunking.post(path, content=iter([body]), headers=user.headers)
                assert reply.status_code == 200
    eventually(lambda: not is_refused(client, user, protocol))


def test_a_call_counts_as_long_as_it_lasts_also_without_its_client(
    client: httpx.Client, double: Double, gateway: Server
) -> None:
    user = user_at(client, double.url, tokens=10**9)
    prompt = double.script("x", Answer(stop_at=0)) + " " * (LARGEST - 10_000)
    body = json.dumps(body_of("openai", prompt)).encode()
    memory = gateway.resident()
    with ExitStack() as stack:
        for _ in range(ADMITTED):
            one = stack.enter_context(upload(client, user, size=len(body)))
            one.connection.sendall(body)
        eventually(lambda: len(double.calls("x")) == ADMITTED)
        assert gateway.resident() - memory < 2 * ADMITTED * LARGEST
        with_clients = descriptors(gateway)
        assert is_refused(client, user)
    eventually(lambda: descriptors(gateway) <= with_clients - ADMITTED)
    assert is_refused(client, user), "the calls go on"
    double.release("x")
    eventually(lambda: not is_refused(client, user))
    assert used(user) == ADMITTED * 25
