"""More calls under way than a worker has places for."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from server.places import MOST_CALLS
from tests.descriptors import many_descriptors
from tests.doubles import Double
from tests.gateway.asking import ask, raw, user_at
from tests.hurried import Hurried
from tests.metrics.scrape import scrape
from tests.processes import Valkey, eventually
from tests.raw import connect

OF_A_USER = 50
"""Open holds."""
OF_A_TENANT = MOST_CALLS * 8 // 9


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path) -> Iterator[Hurried]:
    """Of one worker."""
    with many_descriptors(3 * MOST_CALLS), Hurried(tmp_path / "out", valkey.url, {}) as server:
        yield server


@contextmanager
def silent_provider() -> Iterator[str]:
    """Its address. The system accepts the connections, and nobody ever looks at them."""
    with socket.create_server(("127.0.0.1", 0), backlog=MOST_CALLS) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_silent_provider_does_not_take_all_places(
    server: Hurried, double: Double, streamed: bool
) -> None:
    with (
        httpx.Client(base_url=server.url) as client,
        silent_provider() as silent,
        ExitStack() as stack,
    ):
        first = user_at(client, silent, tokens=10**9)
        users = [first, *(first.api.login() for _ in range(OF_A_TENANT // OF_A_USER))]
        for number in range(OF_A_TENANT):
            connection = stack.enter_context(connect(server.url))
            connection.sendall(raw(users[number // OF_A_USER], "Hi", stream=streamed))
        eventually(lambda: scrape(client).value("vibe_open_holds") == OF_A_TENANT)
        before = users[-1].balance()
        refused = ask(users[-1], "Hi")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert users[-1].balance() == before
        # Others of whom nothing is under way find a place.
        assert ask(user_at(client, double.url), "Hi").status_code == 200
        if streamed:  # else the calls go on without their clients
            stack.close()
            eventually(lambda: scrape(client).value("vibe_open_holds") == 0)
            connection = stack.enter_context(connect(server.url))
            connection.sendall(raw(users[-1], "Hi", stream=True))
            eventually(lambda: scrape(client).value("vibe_open_holds") == 1)
