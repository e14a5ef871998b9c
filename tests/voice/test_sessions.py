"""Sessions that are open: how they end, from whichever side, and when the server does."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.api import ADMIN, User
from tests.doubles.realtime import RealtimeDouble, Service, Turn
from tests.hurried import Hurried
from tests.processes import Server, Valkey, eventually
from tests.voice.over_http import SECONDS, close_of, error_of, new_user, next_event, refusal, talk

HURRIED = {
    **{"heartbeat": 0.3, "unread": 1.0, "client_check": 0.1, "linger": 0.5},
    **{"let_end": 0.5, "read_on": 0.5, "session": 0.5},
}
SLOW = Turn(pieces=("word ",) * 50, pause=0.05)


@pytest.fixture(scope="module")
def hurried(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    output = tmp_path_factory.mktemp("hurried") / "out"
    with (
        Hurried(output, valkey.url, HURRIED) as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        yield http
    assert "Traceback" not in server.text(), server.text()


def ask(connection: ClientConnection) -> None:
    """For a response, which begins."""
    connection.send(orjson.dumps({"type": "response.create"}).decode())
    next_event(connection, "response.created")


def has_settled(user: User) -> bool:
    return bool(user.balance()["tokensHeld"] == 0)


def test_a_response_is_charged_as_it_is_reported(
    http: httpx.Client, double: RealtimeDouble
) -> None:
    user, model = new_user(http, double)
    with talk(user) as connection:
        ask(connection)
        done = next_event(connection, "response.done")
        limits = next_event(connection, "rate_limits.updated")["rate_limits"]
    used = done["response"]["usage"]["total_tokens"]
    assert used == double.used(model) > 0
    assert limits[0]["remaining"] == user.balance()["tokensLeft"] == 100_000 - used


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        ("going away", 1011, "provider_error"),
        ("normal", 1011, "provider_error"),
        ("insufficient_quota", 1011, "provider_error"),
        ("session_expired", 1001, "session_expired"),
    ],
)
def test_the_provider_ends_it(
    http: httpx.Client, double: RealtimeDouble, end: str, code: int, reason: str
) -> None:
    user, model = new_user(http, double)
    with talk(user) as connection:
        next_event(connection, "session.created")
        double.end(model, end)
        assert close_of(connection) == (code, reason)


def test_the_provider_dies(http: httpx.Client, double: RealtimeDouble) -> None:
    user, model = new_user(http, double)
    with talk(user) as connection:
        next_event(connection, "session.created")
        double.cut(model)
        assert close_of(connection) == (1011, "provider_error")


def test_the_client_leaves(http: httpx.Client, double: RealtimeDouble) -> None:
    user, model = new_user(http, double, Service(turns=(SLOW,)))
    with talk(user) as connection:
        ask(connection)
    eventually(lambda: double.sessions(model)[0].ended)
    eventually(lambda: has_settled(user))
    assert user.balance()["tokensLeft"] == 100_000 - double.used(model)


def _deafen_provider(connection: ClientConnection, double: RealtimeDouble, model: str) -> None:
    double.deafen(model)


def _deafen_client(connection: ClientConnection, double: RealtimeDouble, model: str) -> None:
    connection.protocol.receive_data = lambda data: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("deafen", "outcome"), [(_deafen_provider, "provider"), (_deafen_client, "client")]
)
def test_silence_is_noticed(
    hurried: httpx.Client,
    double: RealtimeDouble,
    deafen: Callable[[ClientConnection, RealtimeDouble, str], None],
    outcome: str,
) -> None:
    user, model = new_user(hurried, double)
    with talk(user, ping_interval=None, close_timeout=1) as connection:
        next_event(connection, "session.created")
        deafen(connection, double, model)
        eventually(lambda: ended(hurried, user.api.tenant_id) == outcome)


def ended(http: httpx.Client, tenant_id: str) -> str:
    """What ended the tenant's session, '' until then."""
    text = http.get("/metrics", headers=ADMIN).text
    family = "vibe_realtime_sessions_ended_total"
    found = re.search(rf'^{family}{{tenant="{tenant_id}",.*outcome="(\w+)"}}', text, re.MULTILINE)
    return found[1] if found else ""


def test_a_provider_that_says_nothing_is_not_waited_for(
    hurried: httpx.Client, double: RealtimeDouble
) -> None:
    user, model = new_user(hurried, double, Service(silent=True))
    response = refusal(user)
    assert (response.status_code, error_of(response)["code"]) == (504, "provider_timeout")
    eventually(lambda: double.sessions(model)[0].ended)


def test_messages_that_are_too_large_or_no_text_end_it(
    http: httpx.Client, double: RealtimeDouble
) -> None:
    user, model = new_user(http, double)
    for message, code in (("x" * 5_000_000, 1009), (b"binary", 1003)):
        with talk(user, close_timeout=1) as connection:
            connection.send(message)
            assert close_of(connection)[0] == code
    eventually(lambda: all(session.ended for session in double.sessions(model)))


def test_a_tenant_leaves_sessions_to_others(
    valkey: Valkey, tmp_path: Path, double: RealtimeDouble
) -> None:
    with (
        Server(
            tmp_path / "out",
            REDIS_URL=valkey.url,
            ALLOW_PRIVATE_UPSTREAMS="1",
            REALTIME_SESSIONS="18",
        ) as server,
        httpx.Client(base_url=server.url, timeout=20) as client,
        ExitStack() as stack,
    ):
        user, _ = new_user(client, double)
        users = [user, *(user.api.login() for _ in range(3))]
        for number in range(16):
            stack.enter_context(talk(users[number % 4]))
        assert refusal(users[0]).status_code == 503
        other, _ = new_user(client, double)
        stack.enter_context(talk(other))
        stack.enter_context(talk(other))
        assert refusal(new_user(client, double)[0]).status_code == 503
    assert "Traceback" not in server.text(), server.text()


@pytest.fixture
def short(valkey: Valkey, tmp_path: Path) -> Iterator[httpx.Client]:
    """30 seconds of a session are half of one."""
    with (
        Hurried(tmp_path / "out", valkey.url, HURRIED, WORKERS="1") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        assert http.post("/short-sessions/60").status_code == 200
        yield http


def test_a_session_lasts_max_seconds(short: httpx.Client, double: RealtimeDouble) -> None:
    user, model = new_user(short, double, Service(turns=(SLOW,)), max_seconds=30)
    other, _ = new_user(short, double)
    with talk(user) as connection, talk(other) as longer:
        ask(connection)
        status = next_event(connection, "response.done")["response"]["status"]
        error = next_event(connection, "error")["error"]
        assert close_of(connection) == (1001, "session_expired")
        ask(longer)
        next_event(longer, "response.done")
    assert (status, error["code"]) == ("cancelled", "session_expired")
    assert ended(short, user.api.tenant_id) == "expired"
    eventually(lambda: has_settled(user))
    assert user.balance()["tokensLeft"] == 100_000 - double.used(model) < 100_000


@pytest.fixture
def stopping(valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    with Server(
        tmp_path / "out", REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1", GRACE_SECONDS="10"
    ) as server:
        yield server


@pytest.mark.parametrize("pieces", [0, 30, 500])
def test_a_worker_that_stops_ends_them_and_settles(
    stopping: Server, http: httpx.Client, double: RealtimeDouble, pieces: int
) -> None:
    turn = Turn(pieces=("word ",) * pieces, pause=0.05)
    with httpx.Client(base_url=stopping.url, timeout=20) as client:
        user, model = new_user(client, double, Service(turns=(turn,)))
        with talk(user) as connection:
            next_event(connection, "session.created")
            if pieces:
                ask(connection)
            stopping.send_signal(signal.SIGTERM)
            events = until_closed(connection)
    assert events[-1]["error"]["code"] == "server_shutdown"
    done = [event["response"]["status"] for event in events if event["type"] == "response.done"]
    assert done == {0: [], 30: ["completed"], 500: ["cancelled"]}[pieces]
    assert stopping.wait() == 0
    assert "did not finish" not in stopping.text()
    balance = http.get(f"/{user.api.tenant_id}/balance", headers=user.headers).json()
    assert balance["tokensHeld"] == 0
    assert balance["tokensLeft"] == 100_000 - double.used(model)


def until_closed(connection: ClientConnection) -> list[dict[str, Any]]:
    """All events up to a close that says that the server is going away."""
    events: list[dict[str, Any]] = []

    def read_on() -> None:
        while True:
            events.append(orjson.loads(connection.recv(SECONDS)))

    with pytest.raises(ConnectionClosed) as closed:
        read_on()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "server is going away")
    return events
