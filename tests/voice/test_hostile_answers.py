"""Answers of providers to a handshake: they take neither the memory nor the time of others."""

import httpx
import pytest

from server.websocket.framing import frame_of
from tests.api import Api, User
from tests.endpoints import voice_config
from tests.voice.handshaking import Accepting, Handshaking
from tests.voice.over_http import next_event, refusal, talk
from tests.voice.raw_provider import CREATED, UPDATED

MIB = 1024 * 1024
REFUSED = b"HTTP/1.1 400 Bad Request\r\n"
PONGS = b"\x8a\x00" * 400


def user_at(http: httpx.Client, url: str) -> User:
    return Api.new_tenant(http, voice_config(url)).login()


LARGE = {
    "a length": REFUSED + b"Content-Length: 1000000\r\n\r\n" + b"x" * 999_999,
    "no length": REFUSED + b"\r\n" + b"x" * 999_999,
    "tiny chunks": REFUSED + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
    "a head": REFUSED + b"X-Filler: xxxxxxxxxxxxxxxxxx\r\n" * 1_000,
    "no line's end": b"x" * MIB,
}


@pytest.mark.parametrize("answer", LARGE.values(), ids=LARGE)
def test_a_large_one_is_not_waited_for(http: httpx.Client, answer: bytes) -> None:
    """It has no end; who waits for one is told 504."""
    with Handshaking(answer) as provider:
        assert refusal(user_at(http, provider.url)).status_code == 502


def test_what_comes_with_it_is_read_in_turn(http: httpx.Client) -> None:
    created, updated = (frame_of(text.encode(), is_clients=False) for text in (CREATED, UPDATED))
    with (
        Accepting(PONGS + created + PONGS, lambda: [updated]) as provider,
        talk(user_at(http, provider.url)) as connection,
    ):
        next_event(connection, "session.created")
