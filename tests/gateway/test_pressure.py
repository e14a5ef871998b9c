"""Clients that read slowly, not at all, or go: the provider feels it, and memory stays bounded."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double, Filler
from tests.gateway.asking import (
    PROTOCOLS,
    estimate,
    is_up_to,
    ledger,
    raw,
    streaming,
    turns,
    used,
    user_at,
)
from tests.processes import Server, eventually
from tests.raw import connect

PIECE = 64 * 1024
COUNT = 2048
LIMIT = COUNT * PIECE
"""Tokens: more than all the text can be."""
MUCH = Answer(pieces=Filler(COUNT, PIECE), tokens_per_chunk=PIECE // 8)
RICH = 10**9
# Of all that is on the way: in the sockets' buffers, of which a busy machine lets the one between
# provider and worker grow to 32 MiB, and in those of the worker.
BUFFERED = 64 * 1024 * 1024
GROWTH = 24 * 1024 * 1024
QUIET_SECONDS = 0.5
SOON_SECONDS = 2


@contextmanager
def unread(client: httpx.Client, user: User, prompt: str, protocol: str) -> Iterator[socket.socket]:
    """A connection with a streamed call, nothing of its reply read yet."""
    with connect(str(client.base_url)) as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        connection.sendall(raw(user, prompt, protocol, stream=True, max_tokens=LIMIT))
        yield connection


def until_quiet(double: Double, key: str) -> int:
    """The bytes that the double has written once it can write no more."""
    eventually(lambda: is_up_to(double, key, 1))
    (call,) = double.calls(key)
    written, since = 0, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        if call.bytes_written != written:
            written, since = call.bytes_written, time.monotonic()
        assert not call.ended
        time.sleep(0.02)
    return written


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_does_not_read_stops_the_provider(
    client: httpx.Client, gateway: Server, double: Double, protocol: str
) -> None:
    prompt = double.script("much", MUCH)
    user = user_at(client, double.url, protocol, tokens=RICH)
    before = gateway.resident()
    with unread(client, user, prompt, protocol) as connection:
        written = until_quiet(double, "much")
        assert written < BUFFERED
        assert gateway.resident() - before < GROWTH
        size, last = 0, b""
        while not last.endswith(b"0\r\n\r\n"):
            last = connection.recv(1024 * 1024)
            assert last, "all of it must come"
            size += len(last)
        assert size > LIMIT
    assert used(user) == double.calls("much")[0].used
    assert gateway.resident() - before < GROWTH


def test_a_client_that_reads_costs_no_memory_either(
    client: httpx.Client, gateway: Server, double: Double
) -> None:
    prompt = double.script("much", MUCH)
    user = user_at(client, double.url, tokens=RICH)
    before, most, size = gateway.resident(), 0, 0
    with streaming(user, prompt, max_tokens=LIMIT) as reply:
        for portion in reply.iter_raw():
            if size // (8 * PIECE) != (size + len(portion)) // (8 * PIECE):
                most = max(most, gateway.resident())
            size += len(portion)
    assert size > LIMIT
    assert most - before < GROWTH
    assert used(user) == double.calls("much")[0].used


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_goes_while_it_does_not_read(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    prompt = double.script("much", MUCH)
    user = user_at(client, double.url, protocol, tokens=RICH)
    with unread(client, user, prompt, protocol):
        until_quiet(double, "much")
    eventually(lambda: double.calls("much")[0].peer_gone, SOON_SECONDS)
    # What was on its way is counted in characters, 4 to a token.
    assert 0 < used(user) <= BUFFERED // 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("spoken", PROTOCOLS)
def test_a_client_that_goes_while_the_provider_thinks(
    client: httpx.Client, double: Double, protocol: str, spoken: str
) -> None:
    prompt = double.script("x", Answer(stop_at=3))
    user = user_at(client, double.url, spoken)
    with streaming(user, prompt, protocol) as reply:
        lines = reply.iter_lines()
        while "two" not in next(lines):
            pass
    eventually(lambda: double.calls("x")[0].peer_gone, SOON_SECONDS)
    # "One two " is two tokens; what is charged for an unreported prompt is the estimate.
    reported = 20 if spoken == "anthropic" else estimate(turns(prompt))
    assert used(user) == reported + 2
    assert ledger(user)[0]["ref"]["estimated"] is True


@pytest.mark.parametrize("more", [0, 300_000], ids=["small", "large"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_goes_before_the_first_event(
    client: httpx.Client, double: Double, protocol: str, more: int
) -> None:
    prompt = double.script("x", Answer(stop_at=0)) + " " * more
    user = user_at(client, double.url, protocol, tokens=RICH)
    with unread(client, user, prompt, protocol):
        eventually(lambda: double.calls("x"))
    eventually(lambda: double.calls("x")[0].peer_gone, SOON_SECONDS)
    assert used(user) == estimate(turns(prompt))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_goes_after_the_finish_pays_what_is_reported(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    """The provider says its usage only when the client has gone."""
    prompt = double.script("x", Answer(stop_at=-1, output_tokens=77, pieces=["word"] * 80))
    user = user_at(client, double.url, protocol)
    with streaming(user, prompt, protocol) as reply:
        lines = reply.iter_lines()
        while '"stop"' not in (line := next(lines)) and "end_turn" not in line:
            pass
    if protocol == "openai":
        client.get("/livez")  # by its reply, the server has noticed
        assert user.balance()["tokensHeld"] > 0, "the usage is still to come"
    else:
        # Which came with the finish.
        eventually(lambda: user.balance()["tokensHeld"] == 0)
    double.release("x")
    assert used(user) == 97
    assert "estimated" not in ledger(user)[0]["ref"]


def test_a_usage_that_does_not_come_is_not_waited_for_long(
    hasty_client: httpx.Client, double: Double
) -> None:
    prompt = double.script("x", Answer(stop_at=-1))
    user = user_at(hasty_client, double.url)
    with streaming(user, prompt) as reply:
        lines = reply.iter_lines()
        while '"stop"' not in next(lines):
            pass
    assert used(user) == estimate(turns(prompt)) + 6
    eventually(lambda: double.calls("x")[0].peer_gone, SOON_SECONDS)


# Members of the endpoint, of the request, and whether reasoning may have been produced unseen.
REASONING: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "by a name": ({"reasoning": None}, {"model": "o4-mini"}, True),
    "by a name that nobody knows": ({"reasoning": None}, {"model": "our-own"}, True),
    "not by a name": ({"reasoning": None}, {"model": "gpt-4o-mini"}, False),
    "not by the endpoint": ({"reasoning": False}, {"model": "o4-mini"}, False),
    "by the endpoint": ({"reasoning": True}, {"model": "gpt-4o-mini"}, True),
    "by the endpoint, not wanted": ({"reasoning": True}, {"reasoning_effort": "none"}, True),
    "asked for": ({"reasoning": False}, {"reasoning_effort": "low"}, True),
    "asked for in other words": ({"reasoning": False}, {"reasoning": {"effort": "low"}}, True),
    "not wanted": ({"reasoning": None}, {"model": "o4-mini", "reasoning_effort": "none"}, False),
}


@pytest.mark.parametrize("name", REASONING)
def test_unseen_reasoning_costs_the_whole_hold(
    client: httpx.Client, double: Double, name: str
) -> None:
    endpoint, request, may_reason = REASONING[name]
    prompt = double.script("x", Answer(stop_at=2, reasoning_tokens=40))
    models = ["o4-mini", "our-own", "gpt-4o-mini"]
    user = user_at(client, double.url, models=models, **endpoint)
    with streaming(user, prompt, max_tokens=60, **request) as reply:
        lines = reply.iter_lines()
        while "One" not in next(lines):
            pass
        held = user.balance()["tokensHeld"]
    assert used(user) == (held if may_reason else estimate(turns(prompt)) + 1)


def test_unseen_thinking_costs_the_whole_hold(client: httpx.Client, double: Double) -> None:
    prompt = double.script("x", Answer(stop_at=2, reasoning_tokens=40))
    user = user_at(client, double.url, "anthropic")
    thinking = {"type": "enabled", "budget_tokens": 50}
    with streaming(user, prompt, "anthropic", max_tokens=100, thinking=thinking) as reply:
        lines = reply.iter_lines()
        while "One" not in next(lines):
            pass
        held = user.balance()["tokensHeld"]
    assert used(user) == held


def test_many_that_go_leave_nothing_behind(
    client: httpx.Client, gateway: Server, double: Double
) -> None:
    prompt = double.script("x", Answer(stop_at=2))
    user = user_at(client, double.url)
    (pid,) = gateway.worker_pids()
    descriptors = Path(f"/proc/{pid}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with streaming(user, prompt) as reply:
            next(reply.iter_lines())
    eventually(lambda: all(call.peer_gone for call in double.calls()), SOON_SECONDS)
    assert used(user) > 0
    eventually(lambda: len(list(descriptors.iterdir())) <= before + 2)
