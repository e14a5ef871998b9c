"""Replies of one tenant's provider of calls: they do not take the memory of others."""

import json
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.gateway.raw_provider import RawProvider, whole
from tests.timed.caller import Caller

SIZE = 1024 * 1024
CALLS = 45
"""A user may have 50."""
ROOM = 24
"""Of such replies, for a tenant's calls."""
MADE = {"callId": "call-1", "joinUrl": "wss://voice.example/1"}


def without_end(connection: socket.socket) -> None:
    """All of a reply but its last byte."""
    head = f"HTTP/1.1 201 Created\r\nContent-Length: {SIZE}\r\n\r\n"
    connection.sendall(head.encode() + b" " * (SIZE - 1))
    while connection.recv(65536):
        pass


def asking(caller: Caller, provider: RawProvider) -> Callable[[int], int]:
    """What asks for a call there, and gives the status."""
    config = caller.config(tokens_per_second=1)
    config["providers"]["realtime"]["endpoints"]["ultravox"]["url"] = f"{provider.url}/api/calls"
    caller.put(config)
    return lambda _: caller.ask(maxSeconds=30).status_code


def test_those_that_do_not_end_have_a_room(caller: Caller) -> None:
    with RawProvider(without_end) as provider, ThreadPoolExecutor(CALLS) as pool:
        statuses = Counter(pool.map(asking(caller, provider), range(CALLS)))
    assert set(statuses) == {502, 504}
    assert statuses[504] <= ROOM
    assert caller.held == 0


def test_one_of_very_many_values_is_not_parsed(caller: Caller) -> None:
    body = json.dumps(MADE | {"x": [[]] * 30_000}).encode()
    with RawProvider(whole(body, "201 Created")) as provider:
        assert asking(caller, provider)(0) == 502
    with RawProvider(whole(json.dumps(MADE).encode(), "201 Created")) as provider:
        assert asking(caller, provider)(0) == 201
