"""Sessions that begin with a client secret, over the server's own WebSocket."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.api import Api, User
from tests.doubles.realtime import RealtimeDouble
from tests.endpoints import voice_config
from tests.identity.test_client_secrets import delete, key_of, log_out, revoke, secret_of
from tests.processes import Server, Valkey

PAGE = "https://app.example"


@pytest.fixture(scope="module")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("gateway") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture
def user(gateway: Server, double: RealtimeDouble) -> Iterator[User]:
    with httpx.Client(base_url=gateway.url, timeout=10) as client:
        yield Api.new_tenant(client, voice_config(double.url)).login()


def url_of(user: User, query: str = "") -> str:
    base = str(user.api.client.base_url).replace("http", "ws", 1).rstrip("/")
    return f"{base}/{user.api.tenant_id}/v1/realtime{query}"


def begin(user: User, secret: str, query: str = "", **headers: str) -> ClientConnection:
    """As a page does."""
    offered: Any = ["realtime", f"openai-insecure-api-key.{secret}"]
    return connect(url_of(user, query), subprotocols=offered, additional_headers=headers)


def refused(user: User, secret: str, query: str = "", **headers: str) -> int:
    """The status."""
    with pytest.raises(InvalidStatus) as found:
        begin(user, secret, query, **headers)
    return found.value.response.status_code


def test_the_session_begins_as_the_secret_says(user: User, double: RealtimeDouble) -> None:
    secret = secret_of(user, instructions="Speak slowly.")
    for _ in range(2):
        with begin(user, secret) as socket:
            assert socket.subprotocol == "realtime"
            first = json.loads(socket.recv(5))
            assert first["type"] == "session.created"
            assert first["session"]["instructions"] == "Speak slowly."
    for session in double.sessions("voice")[-2:]:
        assert secret not in json.dumps([session.headers, session.texts])


@pytest.mark.parametrize("end", [log_out, delete, revoke])
def test_it_ends_with_the_key_at_the_next_response(
    user: User, end: Callable[[User], httpx.Response]
) -> None:
    secret = secret_of(user)
    with begin(user, secret) as socket:
        socket.recv(5)
        assert end(user).status_code == 204
        assert refused(user, secret) == 401
        socket.send(json.dumps({"type": "response.create"}))
        with pytest.raises(ConnectionClosed) as closed:
            list(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_it_is_for_the_models_of_its_key(user: User) -> None:
    assert refused(user, secret_of(user.restricted(tokens=1_000, models=["other"]))) == 403
    with begin(user, secret_of(user.restricted(tokens=1_000, models=["voice"]))) as socket:
        assert json.loads(socket.recv(5))["type"] == "session.created"


def test_it_is_for_the_pages_of_its_key(user: User) -> None:
    key = user.restricted(tokens=1_000, origins=[PAGE])
    made = user.api.post("/v1/realtime/client_secrets", {}, {**key.headers, "Origin": PAGE})
    secret = str(made.json()["value"])
    assert refused(user, secret, Origin="https://b.example") == 403
    with begin(user, secret, Origin=PAGE) as socket:
        assert json.loads(socket.recv(5))["type"] == "session.created"


def test_one_that_is_over_or_of_another_tenant(
    user: User, valkey: Valkey, double: RealtimeDouble
) -> None:
    before = double.handshakes
    secret = secret_of(user)
    other = Api.new_tenant(user.api.client, voice_config(double.url)).login()
    assert refused(other, secret) == 401
    valkey.client.pexpire(key_of(secret), 0)
    assert refused(user, secret) == 401
    assert refused(user, f"ek_{'A' * 43}") == 401
    assert double.handshakes == before


@pytest.mark.parametrize("name", ["api_key", "key", "client_secret", "access_token"])
def test_none_is_taken_from_the_query(user: User, name: str) -> None:
    with pytest.raises(InvalidStatus) as found:
        connect(url_of(user, f"?{name}={secret_of(user)}"))
    assert found.value.response.status_code == 401
