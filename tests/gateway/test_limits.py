"""A tenant's limits and calls to providers, over two servers of one worker each."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import (
    PROTOCOLS,
    TOKENS,
    ask,
    estimate,
    raw,
    stream,
    streaming,
    turns,
    used,
)
from tests.metering.limits import counted
from tests.processes import Server, Valkey, eventually
from tests.raw import connect
from tests.redis_link import RedisLink
from tests.stored import now_ms

MESSAGE = "Tenant limit reached"
PROMPT = "Say it. #some"
ESTIMATE = estimate(turns(PROMPT))


@pytest.fixture(scope="module")
def second(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    output = tmp_path_factory.mktemp("second") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as second,
        httpx.Client(base_url=second.url, timeout=20) as client,
    ):
        yield client


def limited(client: httpx.Client, double: Double, protocol: str = "openai", **limits: int) -> User:
    """A user of a new tenant with these limits."""
    group = {"tokens": TOKENS, "rate_limit": 10_000, "rate_limit_window": 60}
    value = text_config({"main": endpoint(double.url, protocol)}, anonymous=group)
    return Api.new_tenant(client, value | {"limits": limits}).login()


def at(client: httpx.Client, user: User) -> User:
    """The user as a client of another server."""
    login = {"apiKey": user.api_key, "userId": user.user_id}
    return User(Api(client, user.api.tenant_id), login)


def slots_key(user: User) -> str:
    return f"{{tenant:{user.api.tenant_id}:config}}:limit:streams"


def test_a_call_counts_what_it_used(
    client: httpx.Client, second: httpx.Client, double: Double
) -> None:
    """Each holds nearly all that is left of the day, at one server or the other."""
    double.script("some", Answer(input_tokens=20, output_tokens=30))
    user = limited(client, double, tokens_per_day=1_000)
    for number in range(18):
        here = at(second if number % 2 else client, user)
        reply = ask(here, PROMPT, max_tokens=900 - 50 * number)
        assert reply.status_code == 200, reply.text
    assert used(user) == 900
    assert user.charge(101).json() == {"error": MESSAGE}
    assert at(second, user).charge(100).status_code == 200


def test_the_output_limit_is_cut_to_what_is_left(client: httpx.Client, double: Double) -> None:
    double.script("some", Answer(output_tokens=5))
    user = limited(client, double, tokens_per_day=ESTIMATE + 40)
    assert ask(user, PROMPT, max_tokens=5_000).status_code == 200
    (call,) = double.calls("some")
    assert call.body["max_tokens"] == 40


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_sdks_understand_the_refusal(
    client: httpx.Client, double: Double, protocol: str, is_stream: bool
) -> None:
    user = limited(client, double, protocol, tokens_per_day=ESTIMATE)
    reply = ask(user, PROMPT, protocol, stream=is_stream)
    assert reply.status_code == 429
    error = reply.json()["error"]
    seconds = int(reply.headers["retry-after"])
    assert error["message"] == f"{MESSAGE}; try again in {seconds:,} s"
    assert error["code"] == "rate_limit_exceeded"
    # Some wait for a minute at most, and would then ask again at once.
    assert reply.headers.get("x-should-retry") == ("false" if seconds > 60 else None)
    assert "ratelimit" in reply.headers
    balance = user.balance()
    assert (balance["tokensLeft"], balance["rateRemaining"]) == (TOKENS, 10_000)
    assert not double.calls()


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("is_here", [False, True])
def test_what_open_calls_hold_of_the_day_is_worth_asking_again_for(
    client: httpx.Client, second: httpx.Client, double: Double, is_here: bool, is_stream: bool
) -> None:
    """Of whichever server they are. Only what is used up is gone until tomorrow."""
    double.script("waits", Answer(input_tokens=20, output_tokens=30, stop_at=0))
    user = limited(client, double, tokens_per_day=1_000)
    other = user if is_here else at(second, user)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, user, "#waits", stream=is_stream)
        eventually(lambda: double.calls("waits"))
        for reply in (ask(other, PROMPT), other.charge(900), other.hold({"tokens": 900})):
            assert (reply.status_code, reply.headers["retry-after"]) == (429, "5"), reply.text
            assert "x-should-retry" not in reply.headers
        refused = [other.charge(1_001), other.hold({"tokens": 1_001})]
        double.release("waits")
        assert first.result().status_code == 200
    assert used(user) == 50
    assert other.charge(900).status_code == 200
    refused += [other.charge(900), ask(other, "x" * 300)]
    for reply in refused:
        assert reply.status_code == 429
        assert abs(int(reply.headers["retry-after"]) - until_tomorrow()) < 30


def until_tomorrow() -> float:
    """Seconds; those of UTC, in which days of limits are."""
    return 86_400 - time.time() % 86_400


def test_a_provider_that_fails_costs_nothing(client: httpx.Client, double: Double) -> None:
    double.script("some", Answer(status=500), Answer(output_tokens=5, input_tokens=5))
    user = limited(client, double, tokens_per_day=ESTIMATE + 40)
    assert ask(user, PROMPT, max_tokens=40).status_code == 502
    assert ask(user, PROMPT, max_tokens=40).status_code == 200
    assert user.charge(ESTIMATE + 30).status_code == 200


@pytest.mark.parametrize("left", [0, 1_000])
def test_who_leaves_a_stream_at_its_end_uses_up_what_is_taken(
    client: httpx.Client, double: Double, valkey: Valkey, tmp_path: Path, left: int
) -> None:
    """Of a call that costs more than was held: not what the balance did not cover."""
    double.script("some", Answer(input_tokens=20_000, output_tokens=30))
    with (
        RedisLink(valkey) as link,
        Server(
            tmp_path / "out",
            REDIS_URL=link.redis_url,
            REDIS_TIMEOUT="5",
            ALLOW_PRIVATE_UPSTREAMS="1",
        ) as server,
        httpx.Client(base_url=server.url, timeout=20) as linked,
    ):
        user = limited(linked, double, tokens_per_day=1_000_000)
        assert user.charge(TOKENS - 500 - left).status_code == 200
        with connect(server.url) as leaving:
            link.hold(b"settle")
            leaving.sendall(raw(user, PROMPT, stream=True, max_tokens=400))
            eventually(link.has_stopped)
        for _ in range(2):  # then the only worker has noticed
            assert linked.get("/livez").status_code == 200
        link.release()
        eventually(lambda: user.balance()["tokensHeld"] == 0)
        assert used(user) == TOKENS
        eventually(lambda: counted(valkey, user.api) == TOKENS)


def test_streams_at_the_same_time(
    client: httpx.Client, second: httpx.Client, double: Double
) -> None:
    """Whichever of two servers they are at; a call that is not streamed is none."""
    double.script("waits", Answer(stop_at=2))
    user = limited(client, double, streams=3)
    here, there = at(client, user), at(second, user)
    with contextlib.ExitStack() as stack:
        for one in (here, there, here):
            reply = stack.enter_context(streaming(one, "#waits"))
            assert reply.status_code == 200, reply.read()
        for one in (here, there):
            with streaming(one, "#more") as reply:
                assert reply.status_code == 429
                assert reply.headers["retry-after"] == "5"
                assert MESSAGE in reply.read().decode()
        assert ask(there, "#more").status_code == 200
    # Their clients have gone, which is soon noticed.
    with contextlib.ExitStack() as stack:
        for one in (there, there, here):
            eventually(lambda one=one: stack.enter_context(streaming(one, "#waits")).is_success)  # type: ignore[misc]
        assert ask(here, "#more", stream=True).status_code == 429
    double.release("waits")


def test_a_stream_that_ends_makes_room_at_once(
    client: httpx.Client, second: httpx.Client, double: Double
) -> None:
    user = limited(client, double, streams=1)
    for number in range(20):
        assert stream(at(second if number % 2 else client, user), "#more")[-1] == "[DONE]"


def test_many_streams_at_once_are_no_more_than_the_limit(
    client: httpx.Client, second: httpx.Client, double: Double
) -> None:
    double.script("waits", Answer(stop_at=1))
    user = limited(client, double, streams=5)

    def asked(number: int) -> int:
        return ask(at(second if number % 2 else client, user), "#waits", stream=True).status_code

    with ThreadPoolExecutor(24) as pool:
        asking = [pool.submit(asked, number) for number in range(24)]
        eventually(lambda: sum(one.done() for one in asking) == 19)
        eventually(lambda: len(double.calls("waits")) == 5)
        double.release("waits")
    found = sorted(one.result() for one in asking)
    assert found == [200] * 5 + [429] * 19


def test_the_slots_of_a_killed_worker_come_back(
    client: httpx.Client, double: Double, valkey: Valkey, tmp_path: Path
) -> None:
    double.script("waits", Answer(stop_at=2))
    user = limited(client, double, streams=2)
    with (
        Server(tmp_path / "out", REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as killed,
        httpx.Client(base_url=killed.url, timeout=20) as there,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(2):
            stack.enter_context(streaming(at(there, user), "#waits"))
        assert ask(user, "#more", stream=True).status_code == 429
        (pid,) = killed.worker_pids()
        os.kill(pid, signal.SIGKILL)
        assert ask(user, "#more", stream=True).status_code == 429
        ((worker, value),) = valkey.client.hgetall(slots_key(user)).items()
        slots, deadline_ms = map(int, value.split())
        assert slots == 2
        assert 0 < deadline_ms - now_ms(valkey) <= 30_000
        valkey.client.hset(slots_key(user), worker, f"2 {now_ms(valkey)}")
        assert ask(user, "#more", stream=True).status_code == 200
        with contextlib.suppress(httpx.HTTPError):
            stack.close()
    double.release("waits")


def test_a_worker_that_lives_keeps_its_slots(
    client: httpx.Client, second: httpx.Client, double: Double, valkey: Valkey
) -> None:
    """Redis had forgotten them, or their deadline was about to pass."""
    double.script("waits", Answer(stop_at=2))
    user = limited(client, double, streams=1)
    with streaming(user, "#waits"):
        before = valkey.client.hgetall(slots_key(user))
        eventually(lambda: valkey.client.hgetall(slots_key(user)) != before, 15)
        assert ask(at(second, user), "#more", stream=True).status_code == 429
    double.release("waits")


def test_calls_of_a_minute(client: httpx.Client, second: httpx.Client, double: Double) -> None:
    """Calls to providers are counted with charges and holds."""
    user = limited(client, double, calls_per_minute=3)
    asked: list[Any] = [lambda: ask(user, "#more").status_code]
    asked.append(lambda: at(second, user).charge(1).status_code)
    asked.append(lambda: ask(at(second, user), "#more", stream=True).status_code)
    asked.append(lambda: user.hold({"tokens": 1}).status_code)
    found = [one() for one in asked]
    assert found in ([200, 200, 200, 429], [200, 200, 200, 201])  # the latter in a new minute
