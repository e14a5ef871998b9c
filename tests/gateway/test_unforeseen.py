"""What nobody foresaw after a call costs no less for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.gateway.asking import PROTOCOLS, ask, used, user_at
from tests.hurried import Hurried
from tests.processes import Valkey


@pytest.fixture(params=["leaving", "counting"])
def broken(
    valkey: Valkey, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[httpx.Client]:
    """A server on which giving a connection back, or counting a call, fails."""
    with (
        Hurried(tmp_path / "out", valkey.url, {}) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        assert client.post(f"/break/{request.param}").status_code == 200
        yield client
        assert "unforeseen" in server.text()


def test_a_call_is_charged_all_the_same(broken: httpx.Client, double: Double) -> None:
    for protocol in PROTOCOLS:
        user = user_at(broken, double.url, protocol)
        for streamed in (True, False):
            before, key = used(user), f"{protocol}-{streamed}"
            reply = ask(user, double.script(key, Answer()), protocol, stream=streamed)
            assert reply.status_code == 200
            (call,) = double.calls(key)
            assert used(user) - before == call.used
