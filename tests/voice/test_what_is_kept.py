"""What was large takes no memory for as long as its session lasts, of which there are hundreds."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from server.voice.speech import MOST_COMMITS
from server.websocket.framing import frame_of
from tests.api import Api, User
from tests.endpoints import voice_config
from tests.processes import Server, eventually
from tests.voice.over_http import next_event, talk
from tests.voice.raw_provider import SESSION, saying

MEBIBYTE = 1024 * 1024
WIDE = "\U0001f600"
"""In a text with it each letter takes 4 bytes."""
SESSIONS = 12
MOST_BYTES = 150 * MEBIBYTE
"""For what is on its way, and what the system does not get back; all of it is twice that."""


@pytest.fixture
def before(gateway: Server) -> int:
    return gateway.resident()


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def users_at(http: httpx.Client, url: str) -> list[User]:
    api = Api.new_tenant(http, voice_config(url, tokens=10**9))
    return [api.login() for _ in range(SESSIONS)]


@pytest.mark.parametrize("where", ["session", "beside it"])
def test_a_large_beginning(
    http: httpx.Client, gateway: Server, before: int, connections: ExitStack, where: str
) -> None:
    large = {"instructions": WIDE + "x" * 7 * MEBIBYTE}
    session, beside = ({**SESSION, **large}, {}) if where == "session" else (SESSION, large)
    created = {"type": "session.created", "event_id": "e1", "session": session, **beside}
    with saying(created=json.dumps(created, ensure_ascii=False)) as url:
        for user in users_at(http, url):
            connection = connections.enter_context(talk(user, max_size=None))
            assert next_event(connection, "session.created")["event_id"] == "e1"
        eventually(lambda: gateway.resident() - before < MOST_BYTES)
        connections.close()


def test_messages_that_never_end(http: httpx.Client, gateway: Server, before: int) -> None:
    """Of clients that have gone."""
    begun = frame_of(b"x" * 4_000_000, is_clients=True)[:-1]
    with saying() as url:
        user = users_at(http, url)[0]
        for _ in range(30):
            with suppress(ConnectionClosed), talk(user) as connection:
                next_event(connection, "session.created")
                connection.socket.sendall(begun)
                connection.socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: gateway.resident() - before < MOST_BYTES)


def test_large_responses_that_run(
    http: httpx.Client, gateway: Server, before: int, connections: ExitStack
) -> None:
    members: dict[str, Any] = {"instructions": WIDE + "x" * 3 * MEBIBYTE}
    asked = json.dumps({"type": "response.create", "response": members}, ensure_ascii=False)
    with saying() as url:
        for user in users_at(http, url):
            connection = connections.enter_context(talk(user, max_size=None))
            next_event(connection, "session.created")
            for _ in range(4):
                connection.send(asked)
            while user.balance()["tokensHeld"] < 4 * 32_000:
                pass
        eventually(lambda: gateway.resident() - before < MOST_BYTES)
        connections.close()


def test_commits_that_nobody_answers(http: httpx.Client) -> None:
    with saying() as url, talk(users_at(http, url)[0]) as connection:
        next_event(connection, "session.created")
        for number in range(MOST_COMMITS + 1):
            commit = {"type": "input_audio_buffer.commit", "event_id": f"c{number}"}
            connection.send(json.dumps(commit))
        error = next_event(connection, "error")["error"]
        assert error["code"] == "too_many_calls"
        assert error["event_id"] == f"c{MOST_COMMITS}"
