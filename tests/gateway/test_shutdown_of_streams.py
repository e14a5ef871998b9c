"""SIGTERM while calls are under way: they come to their end, and are charged."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import ask, data_of, objects, raw, streaming, text_of, used, user_at
from tests.hurried import Hurried
from tests.processes import Server, Valkey, eventually
from tests.raw import connect
from tests.redis_link import RedisLink
from tests.stored import record


def server_of(redis_url: str, output: Path, grace_seconds: str) -> Server:
    return Server(
        output,
        REDIS_URL=redis_url,
        REDIS_TIMEOUT="0.3",
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
        server_of(valkey.url, tmp_path / "out", "20") as server,
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


def until_extended(valkey: Valkey, user: User) -> None:
    """Until the deadline of the user's one hold has been moved on."""
    [(_, before, _)] = record(valkey, user)["holds"].values()
    eventually(lambda: record(valkey, user)["holds"].popitem()[1][1] > before)


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_stream_that_outlasts_the_grace_period_is_cut_and_charged(
    client: httpx.Client, valkey: Valkey, double: Double, tmp_path: Path, protocol: str
) -> None:
    prompt = double.script("x", Answer(stop_at=3, input_tokens=30))
    with (
        server_of(valkey.url, tmp_path / "out", "0.5") as server,
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


def test_a_call_whose_client_has_gone_has_the_grace_period_too(
    client: httpx.Client, valkey: Valkey, double: Double, tmp_path: Path
) -> None:
    """No connection is left that would keep the server from ending."""
    prompt, extend = double.script("x", Answer(stop_at=0, output_tokens=77)), {"extend": 0.5}
    with (
        Hurried(tmp_path / "out", valkey.url, extend, GRACE_SECONDS="20") as server,
        httpx.Client(base_url=server.url, timeout=20) as here,
    ):
        user = user_at(here, double.url)
        with connect(server.url) as connection:
            connection.sendall(raw(user, prompt))
            eventually(lambda: double.calls("x"))
        here.close()
        server.send_signal(signal.SIGTERM)
        eventually(lambda: not server.is_up())
        for _ in range(2):  # the shutdown has come to where it waits for the call
            until_extended(valkey, user)
        assert not double.calls("x")[0].peer_gone
        double.release("x")
        assert server.wait() == 0
    assert used(seen_by(client, user)) == 97
    assert "estimated" not in user.ledger()[0]["ref"]


def test_a_settle_has_a_moment_more_than_the_grace_period(
    client: httpx.Client, valkey: Valkey, double: Double, tmp_path: Path
) -> None:
    """Redis stalls at the end of a stream, and is back when the period is over."""
    prompt, grace = double.script("x", Answer(stop_at=3)), 0.5
    with (
        RedisLink(valkey) as link,
        server_of(link.redis_url, tmp_path / "out", str(grace)) as server,
        httpx.Client(base_url=server.url, timeout=20) as here,
    ):
        user = user_at(here, double.url)
        with streaming(user, prompt) as reply:
            lines = data_of(reply.iter_lines())
            next(lines)
            link.hold()
            double.release("x")
            assert list(lines)[-1] == "[DONE]"
        here.close()
        server.send_signal(signal.SIGTERM)
        time.sleep(2 * grace)  # the period
        assert server.popen.poll() is None
        link.release()
        assert server.wait() == 0
        assert "[ERROR]" not in server.text()
    assert used(seen_by(client, user)) == 25


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_waits_for_tokens_is_told_so_before_it_would_be_cut_off(
    valkey: Valkey, double: Double, tmp_path: Path, streamed: bool
) -> None:
    """Its client may ask another server."""
    with (
        server_of(valkey.url, tmp_path / "out", "3") as server,
        httpx.Client(base_url=server.url, timeout=20) as here,
        ThreadPoolExecutor(1) as aside,
    ):
        user = user_at(here, double.url, tokens=2_000)
        assert user.hold({"tokens": 2_000, "ttl": 600}).status_code == 201
        scripts = valkey.calls("evalsha")
        waiting = aside.submit(ask, user, "Hi", stream=streamed)
        eventually(lambda: valkey.calls("evalsha") > scripts)
        server.send_signal(signal.SIGTERM)
        reply = waiting.result()
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "5")
        assert reply.json()["error"]["code"] == "tokens_held"
        assert server.wait() == 0
        assert "did not finish" not in server.text()
