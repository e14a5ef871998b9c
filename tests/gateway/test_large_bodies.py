"""What requests have in a worker's memory is bounded, for all, for a tenant and for a user."""

import json
import os
from contextlib import ExitStack

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import PROTOCOLS, ask, body_of, streaming, used, user_at
from tests.gateway.uploads import MIB, Upload, chunk, upload
from tests.processes import Server, eventually

LARGEST = 10 * MIB
ROOM = 128 * MIB
"""A body counts twice: as text and as what becomes of it."""
OF_A_USER = ROOM // 4
OF_A_TENANT = ROOM // 2
RICH = 10**9


def begin(stack: ExitStack, user: User, sent: int, size: int = LARGEST) -> Upload:
    """An upload of which so many bytes have come."""
    one = stack.enter_context(upload(user, size))
    assert one.status == 100
    one.connection.sendall(b" " * sent)
    return one


def is_refused(user: User, protocol: str = "openai", size: int = LARGEST) -> bool:
    with upload(user, size, protocol) as one:
        if one.status == 100:
            return False
        assert one.answer is not None
        assert (one.status, one.answer.headers["retry-after"]) == (503, "1")
        assert one.error["message"] == "Service Unavailable"
        return True


def descriptors(server: Server) -> int:
    """Open in its only worker, connections among them."""
    (pid,) = server.worker_pids()
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_user_has_a_quarter(client: httpx.Client, double: Double, protocol: str) -> None:
    user = user_at(client, double.url, tokens=RICH)
    with ExitStack() as stack:
        begin(stack, user, LARGEST - 1)
        eventually(lambda: is_refused(user, protocol))
        assert not is_refused(user, protocol, (OF_A_USER - 2 * LARGEST) // 2)
        # Neither what is small, nor others, notice.
        assert ask(user, "Hi", protocol).status_code == 200
        assert not is_refused(user.api.login(), protocol)
        assert not is_refused(user_at(client, double.url), protocol)
    eventually(lambda: not is_refused(user, protocol))


def test_a_tenant_has_half(client: httpx.Client, double: Double) -> None:
    user, other = (user_at(client, double.url, tokens=RICH) for _ in range(2))
    with ExitStack() as stack:
        for _ in range(OF_A_TENANT // (2 * LARGEST)):
            begin(stack, user.api.login(), LARGEST - 1)
        eventually(lambda: is_refused(user))
        assert ask(user, "Hi").status_code == 200
        assert ask(other, "x" * 2 * MIB).status_code == 200
    eventually(lambda: not is_refused(user))


def test_all_together_have_the_room(client: httpx.Client, double: Double) -> None:
    with ExitStack() as stack:
        for _ in range(ROOM // (2 * LARGEST)):
            begin(stack, user_at(client, double.url), LARGEST - 1)
        another = user_at(client, double.url)
        eventually(lambda: is_refused(another))
        assert ask(another, "Hi").status_code == 200
    eventually(lambda: not is_refused(another))


def test_what_does_not_come_takes_no_room(client: httpx.Client, double: Double) -> None:
    user, other = (user_at(client, double.url, tokens=RICH) for _ in range(2))
    with ExitStack() as stack:
        for _ in range(20):
            begin(stack, user, 0)
            one = stack.enter_context(upload(user, None))
            one.connection.sendall(b"9fffff\r\n ")
        for one_of_both in (user, other):
            assert ask(one_of_both, "x" * 2 * MIB).status_code == 200
            body = json.dumps(body_of("openai", "x" * 2 * MIB)).encode()
            reply = client.post(
                f"/{one_of_both.api.tenant_id}/v1/chat/completions",
                content=iter([body]),
                headers=one_of_both.headers,
            )
            assert reply.status_code == 200


@pytest.mark.parametrize("path", ["/v1/messages", "/charges", "/holds"])
@pytest.mark.parametrize("chunked", [False, True])
def test_many_that_do_not_end_are_bounded(
    client: httpx.Client, double: Double, gateway: Server, path: str, chunked: bool
) -> None:
    """Each sends all of 1 MiB but the last byte; some are refused while they send."""
    user, memory = user_at(client, double.url, tokens=RICH), gateway.resident()
    data = b" " * (MIB - 1)
    with ExitStack() as stack:
        uploads = []
        for _ in range(60):
            one = stack.enter_context(upload(user, None if chunked else MIB, path=path))
            uploads.append(one)
            if one.is_wanted:
                one.connection.sendall(chunk(data)[:-2] if chunked else data)
        assert gateway.resident() - memory < OF_A_USER
        assert chunked or not all(one.is_wanted for one in uploads)
        other = user_at(client, double.url, tokens=RICH)
        assert ask(other, "x" * 300_000).status_code == 200


def test_a_call_counts_as_long_as_it_lasts_also_without_its_client(
    client: httpx.Client, double: Double, gateway: Server
) -> None:
    user = user_at(client, double.url, tokens=RICH)
    prompt = double.script("x", Answer(stop_at=0)) + " " * (LARGEST - 10_000)
    body = json.dumps(body_of("openai", prompt)).encode()
    memory = gateway.resident()
    with ExitStack() as stack:
        one = stack.enter_context(upload(user, len(body)))
        one.connection.sendall(body)
        eventually(lambda: len(double.calls("x")) == 1)
        assert gateway.resident() - memory < 4 * LARGEST
        with_client = descriptors(gateway)
        assert is_refused(user)
    eventually(lambda: descriptors(gateway) <= with_client - 1)
    assert is_refused(user), "the call goes on"
    double.release("x")
    eventually(lambda: not is_refused(user))
    assert used(user) == 25


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_needs_no_room_once_it_has_begun(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, tokens=RICH)
    prompt = double.script("x", Answer(stop_at=1)) + " " * (LARGEST - 10_000)
    with streaming(user, prompt, protocol) as reply:
        assert reply.status_code == 200
        pieces = reply.iter_bytes()
        assert next(pieces)
        assert not is_refused(user)
        double.release("x")
        assert list(pieces)


def test_values_count_beside_bytes(client: httpx.Client, double: Double) -> None:
    """A small text of many values takes as much as a large one of few."""
    user = user_at(client, double.url, tokens=RICH)
    prompt = double.script("x", Answer(stop_at=0))
    values: list[dict[str, int]] = [{}] * 24_000
    body = json.dumps(body_of("openai", prompt, x=values), separators=(",", ":")).encode()
    assert len(body) < 100_000
    with ExitStack() as stack:
        for _ in range(6):
            one = stack.enter_context(upload(user, len(body)))
            one.connection.sendall(body)
        eventually(lambda: len(double.calls("x")) == 6)
        assert is_refused(user)
        double.release("x")
    eventually(lambda: not is_refused(user))


@pytest.mark.parametrize("widest", ["x", "\U0001f600"])
def test_a_text_is_as_wide_as_its_widest_character(
    client: httpx.Client, double: Double, widest: str
) -> None:
    user = user_at(client, double.url, tokens=RICH)
    prompt = f"{double.script('x', Answer(stop_at=0))} {'x' * 5 * MIB}{widest}"
    body = json.dumps(body_of("openai", prompt)).encode()
    with upload(user, len(body)) as one:
        one.connection.sendall(body)
        eventually(lambda: len(double.calls("x")) == 1)
        assert is_refused(user, size=3 * MIB) == (widest != "x")
        double.release("x")
    eventually(lambda: not is_refused(user, size=3 * MIB))
