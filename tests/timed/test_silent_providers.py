"""One tenant's provider that does not answer: others' calls are looked at as ever."""

import socket
from collections.abc import Iterator

import pytest

from tests.timed.caller import WORK, Caller

CALLS = 500


@pytest.fixture
def held_up(caller: Caller) -> Iterator[list[str]]:
    """Calls of another tenant that are due before all others, at a provider that says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=CALLS) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        other = Caller.new(caller.api.client, caller.double, caller.valkey)
        endpoint = other.config()["providers"]["realtime"]["endpoints"]["ultravox"]
        realtime = {"endpoints": {"ultravox": endpoint | {"url": f"{url}/api/calls"}}}
        other.put(other.config() | {"providers": {"realtime": realtime}})
        tenant_id, user_id = other.api.tenant_id, other.user.user_id
        names = [f"{tenant_id} {user_id} call-{number} ultravox" for number in range(CALLS)]
        caller.valkey.client.zadd(WORK, dict.fromkeys(names, 0))
        yield names
        caller.valkey.client.zrem(WORK, *names)


def test_a_silent_provider_holds_up_nobody_else(caller: Caller, held_up: list[str]) -> None:
    call = caller.call()
    caller.talk(call, 12)
    caller.settled(call)
    assert caller.left == 5_000 - 120
    assert caller.valkey.client.zscore(WORK, held_up[-1]) is not None, "these wait still"
