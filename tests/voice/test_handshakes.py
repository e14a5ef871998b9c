"""What is no handshake, and what a provider says to ours, are replies of HTTP."""

from functools import partial

import httpx
import pytest

from tests.api import User
from tests.doubles.realtime import ENDS, RealtimeDouble, Service
from tests.processes import Server, eventually
from tests.raw import connect, exchange
from tests.voice.over_http import error_of, new_user, next_event, refusal, talk

HANDSHAKE = (
    b"Upgrade: websocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    b"Sec-WebSocket-Version: 13",
)


def head(user: User, *lines: bytes) -> bytes:
    """Of a request that may be no handshake."""
    first = f"GET /{user.api.tenant_id}/v1/realtime HTTP/1.1".encode()
    key = b"X-API-Key: " + user.api_key.encode()
    return b"\r\n".join([first, b"Host: test", key, *lines, b"", b""])


@pytest.fixture
def user(http: httpx.Client, double: RealtimeDouble) -> User:
    return new_user(http, double)[0]


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("invalid_api_key", 502, "provider_auth_error"),
        ("insufficient_quota", 502, "provider_quota"),
        ("credit_balance_exhausted", 502, "provider_quota"),
        ("organization_spend_limit_exceeded", 502, "provider_quota"),
        ("model_not_found", 404, "model_not_found"),
        ("server_error", 502, "provider_error"),
        ("going away", 502, "provider_error"),
    ],
)
def test_what_the_provider_says_is_wrong(
    http: httpx.Client,
    double: RealtimeDouble,
    end: str,
    status: int,
    code: str,
) -> None:
    user, _ = new_user(http, double, Service(refusal=ENDS[end]))
    response = refusal(user)
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert b"of-the-tenant" not in bytes(response.body)
    assert user.balance()["tokensLeft"] == 100_000


@pytest.mark.parametrize(
    ("service", "status", "code"),
    [
        (Service(status=401), 502, "provider_auth_error"),
        (Service(status=404), 404, "model_not_found"),
        (Service(status=429), 429, "rate_limit_exceeded"),
        (Service(status=503), 502, "provider_error"),
        (Service(status=200), 502, "provider_error"),
        (Service(reset=True), 502, "provider_error"),
        (Service(opening="no JSON"), 502, "provider_error"),
        (Service(opening=b"binary"), 502, "provider_error"),
        (Service(opening='{"type": "session.updated"}'), 502, "provider_error"),
    ],
    ids=lambda value: value.__class__.__name__,
)
def test_what_the_provider_answers_else(
    http: httpx.Client,
    double: RealtimeDouble,
    service: Service,
    status: int,
    code: str,
) -> None:
    user, _ = new_user(http, double, service)
    response = refusal(user)
    assert (response.status_code, error_of(response)["code"]) == (status, code)


def test_a_redirect_is_not_followed(http: httpx.Client, double: RealtimeDouble) -> None:
    with RealtimeDouble() as elsewhere:
        user, _ = new_user(http, double, Service(redirect=f"{elsewhere.url}/v1/realtime"))
        response = refusal(user)
        assert (response.status_code, elsewhere.handshakes) == (502, 0)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 426),
        (HANDSHAKE[:1], 426),
        (HANDSHAKE[1:], 426),
        ((b"Upgrade: h2c", *HANDSHAKE[1:]), 426),
        (HANDSHAKE[:3], 400),
        ((*HANDSHAKE[:2], b"Sec-WebSocket-Key: short", HANDSHAKE[3]), 400),
        ((*HANDSHAKE[:3], b"Sec-WebSocket-Version: 8"), 400),
    ],
)
def test_what_is_no_handshake(user: User, lines: tuple[bytes, ...], status: int) -> None:
    closing = () if HANDSHAKE[1] in lines else (b"Connection: close",)
    (response,) = exchange(str(user.api.client.base_url), head(user, *lines, *closing))
    assert response.status == status
    if status == 426:
        assert response.body == b'{"error":"Upgrade Required"}'
        assert response.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "line",
    [b"Sec-WebSocket-Protocol: realtime" + b",a" * 3_000, b"Connection: close" + b"," * 6_000],
)
def test_very_many_subprotocols_are_refused(user: User, line: bytes) -> None:
    with connect(str(user.api.client.base_url)) as connection:
        connection.sendall(head(user, *HANDSHAKE, line))
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    many = [f"p{number}" for number in range(90)]
    with talk(user, subprotocols=["realtime", *many]) as talking:
        next_event(talking, "session.created")


def test_what_comes_behind_the_handshake_too_early_is_refused(user: User) -> None:
    (response,) = exchange(
        str(user.api.client.base_url), head(user, *HANDSHAKE) + b"GET / HTTP/1.1"
    )
    assert response.status == 400


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_handshake_with_a_body_is_refused(user: User, gateway: Server, line: bytes) -> None:
    """Its body and the frames could not be told apart."""
    with connect(gateway.url) as early:
        early.sendall(head(user, *HANDSHAKE, line))
        assert early.recv(12) == b"HTTP/1.1 400"


def test_who_leaves_before_the_provider_answers_leaves_nothing(
    http: httpx.Client,
    double: RealtimeDouble,
    gateway: Server,
) -> None:
    user, model = new_user(http, double, Service(created_delay=0.5))

    def reached(sessions: int) -> bool:
        return len(double.sessions(model)) == sessions

    for attempt in range(6):  # more than may be at a time
        with connect(gateway.url) as early:
            early.sendall(head(user, *HANDSHAKE))
            eventually(partial(reached, attempt + 1))
    eventually(lambda: all(session.ended for session in double.sessions(model)))
    with talk(user) as connection:
        next_event(connection, "session.created")
    assert user.balance()["tokensHeld"] == 0
