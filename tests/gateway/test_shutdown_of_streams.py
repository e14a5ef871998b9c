"""SIGTERM while calls are under way: they come to their end, and are charged."""

import signal
import threading
from pathlib import Path

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import ask, data_of, objects, streaming, text_of, used, user_at
from tests.processes import Server, Valkey, eventually


def server_of(valkey: Valkey, output: Path, grace_seconds: str) -> Server:
    return Server(
        output,
        REDIS_URL=valkey.url,
        ALLOW_PRIVATE_UPSTREAMS="1",
        GRACE_SECONDS=grace_seconds,
    )


def seen_by(client: httpx.Client, user: User) -> User:
    """The user as another server of the same Valkey sees it."""
    user.api.client = client
    return user


def test_a_running_stream_and_a_running_call_finish(
    client: httpx.Client, valkey: Valkey, double: Double, tmp_path: Path
) -> None:
    double.script("stream", Answer(stop_at=3))
    double.script("call", Answer(stop_at=0))
    found: list[httpx.Response] = []
    with (
        server_of(valkey, tmp_path / "out", "20") as server,
        httpx.Client(base_url=server.url, timeout=20) as here,
    ):
        user = user_at(here, double.url)
        calling = threading.Thread(target=lambda: found.append(ask(user, "#call")))
        calling.start()
        with streaming(user, "#stream") as reply:
            lines = data_of(reply.iter_lines())
            data = [next(lines)]
            eventually(lambda: double.calls("call"))
            server.send_signal(signal.SIGTERM)
            eventually(lambda: "Server shutting down" in server.text())
            eventually(lambda: not server.is_up())
            double.release("stream")
            double.release("call")
            data += lines
        calling.join()
        assert server.wait() == 0
        assert data[-1] == "[DONE]"
        assert text_of(objects(data)) == "One two three four five."
        assert [reply.status_code for reply in found] == [200]
        assert "[ERROR]" not in server.text()
    assert used(seen_by(client, user)) == 50


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_stream_that_outlasts_the_grace_period_is_cut_and_charged(
    client: httpx.Client, valkey: Valkey, double: Double, tmp_path: Path, protocol: str
) -> None:
    prompt = double.script("x", Answer(stop_at=3, input_tokens=30))
    with (
        server_of(valkey, tmp_path / "out", "0.5") as server,
        httpx.Client(base_url=server.url, timeout=20) as here,
    ):
        user = user_at(here, double.url, protocol)
        with streaming(user, prompt, protocol) as reply:
            lines = reply.iter_lines()
            while "two" not in next(lines):
                pass
            server.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert server.wait() == 0
    eventually(lambda: double.calls("x")[0].peer_gone)
    balance = seen_by(client, user).balance()
    assert balance["tokensHeld"] == 0
    assert 0 < balance["tokensUsed"] < 50
