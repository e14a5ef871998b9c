"""Two calls of a user at once: one that lacks what the other holds waits for it, and is not told to
pay."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.metering.waiting import MOST_OF_A_TENANT, MOST_OF_A_USER
from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PROTOCOLS, ask, raw, streaming, user_at
from tests.gateway.uploads import MIB, upload
from tests.hurried import Hurried
from tests.processes import Valkey, eventually
from tests.raw import connect
from tests.redis_link import RedisLink

BALANCE = 2_000
COST = 25
HELD_SECONDS = 0.6


@pytest.fixture(scope="module")
def impatient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    """A server whose calls wait for a moment, and ask again in a smaller one."""
    output = tmp_path_factory.mktemp("impatient") / "out"
    timeouts = {"tokens_held": HELD_SECONDS, "ask_again": HELD_SECONDS / 4}
    with Hurried(output, valkey.url, timeouts) as server:
        yield server


@pytest.fixture
def impatient_client(impatient: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=impatient.url, timeout=20) as client:
        yield client


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def at(client: httpx.Client, user: User) -> User:
    """The user as a client of another server."""
    login = {"apiKey": user.api_key, "userId": user.user_id}
    return User(Api(client, user.api.tenant_id), login)


@contextmanager
def a_stream(user: User, double: Double) -> Iterator[Callable[[], None]]:
    prompt = double.script("first", Answer(stop_at=2))
    with streaming(user, prompt) as reply:
        lines = reply.iter_lines()
        next(lines)

        def end() -> None:
            double.release("first")
            assert "data: [DONE]" in list(lines)

        yield end


@contextmanager
def a_call(user: User, double: Double) -> Iterator[Callable[[], None]]:
    prompt = double.script("first", Answer(stop_at=0))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, user, prompt)
        eventually(lambda: double.calls("first"))

        def end() -> None:
            double.release("first")
            assert reply.result().status_code == 200

        try:
            yield end
        finally:
            double.release("first")


@contextmanager
def a_hold(user: User, double: Double) -> Iterator[Callable[[], None]]:
    """Over HTTP, as an app makes it that calls a provider by itself."""
    hold_id = user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"]

    def end() -> None:
        assert user.settle(hold_id, COST).status_code == 200

    yield end


HOLDERS = (a_stream, a_call, a_hold)


def begin(
    valkey: Valkey, pool: ThreadPoolExecutor, what: Callable[..., Any], *args: Any, **members: Any
) -> Future[Any]:
    """Starts a call, and returns when it has asked for tokens."""
    scripts = valkey.calls("evalsha")
    started = pool.submit(what, *args, **members)
    eventually(lambda: valkey.calls("evalsha") > scripts)
    return started


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("holder", HOLDERS)
def test_the_second_call_waits_and_is_served(
    client: httpx.Client,
    valkey: Valkey,
    double: Double,
    aside: ThreadPoolExecutor,
    holder: Callable[..., Any],
    protocol: str,
    streamed: bool,
) -> None:
    user = user_at(client, double.url, tokens=BALANCE)
    with holder(user, double) as end:
        assert user.balance()["tokensLeft"] == 0
        second = begin(valkey, aside, ask, user, "A title #second", protocol, stream=streamed)
        assert not double.calls("second")
        end()
        assert second.result().status_code == 200
    used = user.balance()
    assert used["tokensHeld"] == 0
    assert used["tokensUsed"] == BALANCE - used["tokensLeft"] == 2 * COST
    assert used["rateRemaining"] == 10_000 - 2


def test_a_call_in_another_worker_asks_again(
    client: httpx.Client,
    impatient_client: httpx.Client,
    valkey: Valkey,
    double: Double,
    aside: ThreadPoolExecutor,
) -> None:
    user = user_at(impatient_client, double.url, tokens=BALANCE)
    with a_stream(user, double) as end:
        second = begin(valkey, aside, ask, at(client, user), "A title #second")
        end()
        assert second.result().status_code == 200


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("holder", [a_stream, a_hold])
def test_what_is_not_given_back_in_time_is_429(
    impatient_client: httpx.Client,
    double: Double,
    holder: Callable[..., Any],
    protocol: str,
    streamed: bool,
) -> None:
    user = user_at(impatient_client, double.url, tokens=BALANCE)
    with holder(user, double) as end:
        reply = ask(user, "Hi", protocol, stream=streamed)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "5")
        assert "x-should-retry" not in reply.headers
        assert reply.headers["x-tokens-left"] == "0"
        assert "ratelimit" in reply.headers
        error = reply.json()["error"]
        assert (error["code"], error["type"]) == ("tokens_held", "rate_limit_error")
        assert (error["tokensLeft"], error["tokensHeld"]) == (0, BALANCE)
        assert error["message"].endswith(
            "; 0 are left, 2,000 are held by other calls; try again in 5 s"
        )
        end()


def test_what_is_used_up_is_402_at_once(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, tokens=BALANCE)
    with a_stream(user, double) as end:
        reply = ask(user, "x" * 3 * BALANCE)
        assert (reply.status_code, reply.headers["x-should-retry"]) == (402, "false")
        error = reply.json()["error"]
        assert (error["tokensLeft"], error["tokensHeld"]) == (0, BALANCE)
        assert "; 0 are left, 2,000 are held by other calls" in error["message"]
        end()


def test_what_was_used_up_meanwhile_is_402(
    client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    user = user_at(client, double.url, tokens=BALANCE)
    hold_id = user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"]
    second = begin(valkey, aside, ask, user, "Hi")
    assert user.settle(hold_id, BALANCE).status_code == 200
    assert second.result().status_code == 402
    assert "tokensHeld" not in second.result().json()


def test_what_costs_over_http_is_402_and_says_what_is_held(api: Api) -> None:
    user = api.login()
    assert user.hold({"tokens": 60}).status_code == 201
    body = {"error": "Payment Required", "tokensLeft": 40, "tokensHeld": 60}
    for reply in (user.charge(41), user.hold({"tokens": 41}), user.hold({"tokens": 100})):
        assert (reply.status_code, reply.json()) == (402, body)
        assert reply.headers["x-tokens-left"] == "40"
    assert user.charge(40).status_code == 200


def test_a_revoked_key_and_the_rate_come_first(
    impatient_client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    group = {"tokens": BALANCE, "rate_limit": 2, "rate_limit_window": 3_600}
    found = text_config({"main": endpoint(double.url)}, anonymous=group)
    user = Api.new_tenant(impatient_client, found).login()
    with a_stream(user, double) as end:
        for _ in range(2):  # which is no admission
            assert ask(user, "Hi").json()["error"]["code"] == "tokens_held"
        assert user.balance()["rateRemaining"] == 1
        second = begin(valkey, aside, ask, user, "Hi")
        assert user.api.revoke(user.api_key).status_code == 204
        assert second.result().status_code == 401
        end()


def test_the_rate_is_429_at_once(client: httpx.Client, double: Double) -> None:
    group = {"tokens": BALANCE, "rate_limit": 1, "rate_limit_window": 3_600}
    found = text_config({"main": endpoint(double.url)}, anonymous=group)
    user = Api.new_tenant(client, found).login()
    with a_stream(user, double) as end:
        reply = ask(user, "Hi")
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert reply.headers["x-should-retry"] == "false"
        end()


@pytest.mark.parametrize("streamed", [False, True])
def test_who_leaves_while_waiting_gets_nothing_and_pays_nothing(
    client: httpx.Client, valkey: Valkey, double: Double, streamed: bool
) -> None:
    user = user_at(client, double.url, tokens=BALANCE)
    with a_stream(user, double) as end:
        with connect(str(client.base_url)) as connection:
            scripts = valkey.calls("evalsha")
            connection.sendall(raw(user, "A title #second", stream=streamed))
            eventually(lambda: valkey.calls("evalsha") > scripts)
        _waits_no_more(valkey)
        end()
    assert not double.calls("second")
    balance = user.balance()
    assert (balance["tokensHeld"], balance["tokensUsed"]) == (0, COST)
    assert [entry[0] for entry in user.changes()] == ["grant", "hold", "settle"]


def test_who_leaves_before_it_is_known_that_there_is_a_wait_waits_no_more(
    valkey: Valkey, double: Double, tmp_path: Path
) -> None:
    with (
        RedisLink(valkey) as link,
        Hurried(tmp_path / "out", link.redis_url, {}, REDIS_TIMEOUT="20") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        user = user_at(client, double.url, tokens=BALANCE)
        hold_id = user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"]
        link.hold(b"\r\nown\r\n")
        with connect(server.url) as connection:
            connection.sendall(raw(user, "A title #left"))
            eventually(link.has_stopped)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""  # the server has noticed
        link.release()
        assert user.settle(hold_id, 0).status_code == 200
        # Whoever waits is woken, and asks in this moment.
        assert ask(user, "Hi #next").status_code == 200
        assert not double.calls("left")
        assert [entry[0] for entry in user.changes()][3:] == ["hold", "settle"]


def _waits_no_more(valkey: Valkey) -> None:
    """A call that waits asks again each second: none does for longer."""
    asked: list[int] = []

    def is_quiet() -> bool:
        asked.append(valkey.calls("evalsha"))
        return len(asked) > 150 and asked[-150] == asked[-1]

    eventually(is_quiet, 20)


def test_only_some_may_wait(
    client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    user = user_at(client, double.url, tokens=BALANCE)
    other = user_at(client, double.url, tokens=BALANCE)
    with a_stream(user, double) as end:
        waiting = [
            begin(valkey, aside, ask, user, f"{number} #some", max_tokens=5)
            for number in range(MOST_OF_A_USER)
        ]
        reply = ask(user, "Hi")
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "tokens_held")
        assert ask(other, "Hi").status_code == 200
        end()
        assert {reply.result().status_code for reply in waiting} == {200}
    assert user.balance()["tokensHeld"] == 0


def test_who_came_first_is_served_first(
    client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    """Each takes all that is left, so that the others go on waiting."""
    user = user_at(client, double.url, tokens=BALANCE)
    hold_id = user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"]
    prompts = [f"{number} #in-turn" for number in range(MOST_OF_A_USER)]
    waiting = [begin(valkey, aside, ask, user, prompt) for prompt in prompts]
    assert user.settle(hold_id, 0).status_code == 200
    assert {reply.result().status_code for reply in waiting} == {200}
    asked = [call.body["messages"][0]["content"] for call in double.calls("in-turn")]
    assert asked == prompts


def test_one_tenants_calls_leave_others_room_to_wait(
    client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    first, other = (user_at(client, double.url, tokens=BALANCE) for _ in range(2))
    users = [first.api.login() for _ in range(MOST_OF_A_TENANT // MOST_OF_A_USER)]
    users += [other, first, first.api.login()]
    holds = {user: user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"] for user in users}
    *full, _, _, late = users
    with ExitStack() as waiting:
        scripts = valkey.calls("evalsha")
        asking = [user for user in full for _ in range(MOST_OF_A_USER)]
        asking += [first] * (MOST_OF_A_TENANT - len(asking))
        for user in asking:
            connection = waiting.enter_context(connect(str(client.base_url)))
            connection.sendall(raw(user, "Hi"))
        eventually(lambda: valkey.calls("evalsha") >= scripts + MOST_OF_A_TENANT)
        assert ask(late, "Hi").json()["error"]["code"] == "tokens_held"
        second = begin(valkey, aside, ask, other, "Hi")
        assert other.settle(holds[other], 0).status_code == 200
        assert second.result().status_code == 200
    _waits_no_more(valkey)


def test_a_settle_that_is_repeated_wakes_nobody(
    client: httpx.Client, valkey: Valkey, double: Double, aside: ThreadPoolExecutor
) -> None:
    """It is free, and gives nothing back: who waits would ask Redis again each time."""
    user = user_at(client, double.url, tokens=BALANCE)
    settled, rest = (
        user.hold({"tokens": tokens, "ttl": 600}).json()["holdId"] for tokens in (5, BALANCE - 5)
    )
    assert user.settle(settled, 5).status_code == 200
    waiting = [begin(valkey, aside, ask, user, "Hi") for _ in range(4)]
    scripts, repeated = valkey.calls("evalsha"), 50
    for _ in range(repeated):
        assert user.settle(settled, 5).status_code == 200
    assert valkey.calls("evalsha") - scripts < 2 * repeated
    assert user.settle(rest, 0).status_code == 200
    assert {reply.result().status_code for reply in waiting} == {200}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tenants_limits_are_as_free_as_before(
    impatient_client: httpx.Client, double: Double, aside: ThreadPoolExecutor, streamed: bool
) -> None:
    """What waits takes none of them, and what was refused has taken none."""
    group = {"tokens": BALANCE, "rate_limit": 10_000, "rate_limit_window": 60}
    found = text_config({"main": endpoint(double.url)}, anonymous=group)
    limits = {"streams": 2, "calls_per_minute": 1_000, "tokens_per_day": 2 * BALANCE}
    api = Api.new_tenant(impatient_client, {**found, "limits": limits})
    user, others = api.login(), [api.login() for _ in range(2)]
    with a_stream(user, double) as end:
        refused = [aside.submit(ask, user, "Hi", stream=streamed, max_tokens=5) for _ in range(6)]
        assert {reply.result().json()["error"]["code"] for reply in refused} == {"tokens_held"}
        prompt = double.script("stopped", Answer(stop_at=2))
        with streaming(others[0], prompt, max_tokens=5) as reply:
            assert reply.status_code == 200, "the second of two streams"
            assert ask(others[1], "Hi", stream=True).status_code == 429
            double.release("stopped")
            reply.read()
        end()
    spent = sum(one.balance()["tokensUsed"] for one in (user, *others))
    rich = api.login().become_permanent()
    assert rich.charge(2 * BALANCE - spent).status_code == 200
    assert rich.charge(1).json() == {"error": "Tenant limit reached"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_large_request_waits_too(client: httpx.Client, double: Double, protocol: str) -> None:
    """Before it is read, what is held counts as what is left."""
    user = user_at(client, double.url, tokens=BALANCE)
    hold_id = user.hold({"tokens": BALANCE, "ttl": 600}).json()["holdId"]
    with upload(user, MIB, protocol) as one:
        assert one.status == 100
    assert user.settle(hold_id, BALANCE).status_code == 200
    with upload(user, MIB, protocol) as one:
        assert one.status == 402
