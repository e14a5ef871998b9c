"""One tenant's provider of voice must not take the time or the memory of all others, and whatever
it says is no fault of ours."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.endpoints import voice_config
from tests.processes import Server, Valkey, eventually
from tests.voice.over_http import close_of, next_event, refusal, talk
from tests.voice.raw_provider import saying

DEEP = "[" * 400 + "]" * 400
RICH = "[" + "[]," * 2_000_000 + "[]]"
PROVIDER_ERROR = (1011, "provider_error")


def event(kind: str, **members: Any) -> str:
    return json.dumps({"type": kind, **members})


def with_raw(kind: str, members: str) -> str:
    return f'{{"type":"{kind}",{members}}}'


def user_at(http: httpx.Client, url: str) -> User:
    return Api.new_tenant(http, voice_config(url)).login()


UNBEARABLE = {
    "an event of very many values": with_raw("response.output_item.done", f'"item":{RICH}'),
    "a delta of very many values": with_raw("response.output_text.delta", f'"delta":{RICH}'),
    "deep tools": with_raw("session.updated", f'"session":{{"tools":{DEEP}}}'),
    "a deep response": with_raw(
        "response.done",
        f'"response":{{"id":"r","metadata":{{"vibe_response":"1"}},"output":{DEEP}}}',
    ),
    "a deep error": with_raw("error", f'"error":{{"message":"m","param":{DEEP}}}'),
}


@pytest.mark.parametrize("text", UNBEARABLE.values(), ids=UNBEARABLE)
def test_what_is_too_complex_ends_the_session(http: httpx.Client, text: str) -> None:
    with saying([text]) as url, talk(user_at(http, url)) as connection:
        next_event(connection, "session.created")
        assert close_of(connection) == PROVIDER_ERROR


FLOODS: dict[str, Callable[[int], str]] = {
    "responses that begin": lambda n: event("response.created", response={"id": f"r{n}"}),
    "responses that end": lambda n: event(
        "response.done",
        response={"id": f"r{n}", "usage": {"input_tokens": 1, "output_tokens": 1}},
    ),
    "items": lambda n: event("input_audio_buffer.committed", item_id=f"i{n}"),
    "transcripts": lambda n: event(
        "conversation.item.input_audio_transcription.completed",
        item_id=f"i{n}",
        usage={"type": "duration", "seconds": 1},
    ),
}


@pytest.fixture
def alone(valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    """Of whose scripts nobody else has any."""
    with Server(tmp_path / "out", REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server
    assert "Traceback" not in server.text(), server.text()


@pytest.mark.parametrize("text_of", FLOODS.values(), ids=FLOODS)
def test_what_nobody_asked_for_is_bounded(
    alone: Server, valkey: Valkey, text_of: Callable[[int], str]
) -> None:
    """Each is asked of Redis: 20 responses at a time, 100 transcripts."""
    transcribed = event("session.updated", session={"audio": {"input": {"transcription": {}}}})
    texts = [transcribed, *map(text_of, range(5_000))]
    with httpx.Client(base_url=alone.url, timeout=20) as http, saying(texts) as url:
        user = user_at(http, url)
        before = valkey.calls("evalsha")
        with talk(user) as connection:
            next_event(connection, "session.created")
            assert close_of(connection) == PROVIDER_ERROR
        eventually(lambda: user.balance()["tokensHeld"] == 0)
        assert valkey.calls("evalsha") - before < 1_000
    assert "than " in alone.text()


BEGINNINGS = {
    "very much": with_raw("session.created", f'"session":{{"a":{RICH}}}'),
    "deep tools": with_raw("session.created", f'"session":{{"tools":{DEEP}}}'),
    "a code that is none": event("error", error={"code": ["a"], "type": {}}),
    "an error that is none": event("error", error=[1]),
}


@pytest.mark.parametrize("created", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_beginning_that_is_none_is_502(http: httpx.Client, created: str) -> None:
    with saying(created=created) as url:
        assert refusal(user_at(http, url)).status_code == 502


ODD: dict[str, Any] = {
    "limit": {"max_output_tokens": "x"},
    "below 0": {"max_output_tokens": -5, "audio": {"input": {"turn_detection": []}, "output": 5}},
    "kinds": {"audio": 5, "tools": 5, "instructions": {"a": 1}, "id": {}},
}


@pytest.mark.parametrize("session", ODD.values(), ids=ODD)
def test_odd_sessions_begin(http: httpx.Client, session: dict[str, Any]) -> None:
    created = event("session.created", session=session)
    with saying(created=created) as url, talk(user_at(http, url)) as connection:
        assert next_event(connection, "session.created")["session"]["max_output_tokens"] == "inf"


@pytest.mark.parametrize(("began", "ended"), [(0, 1e300), (-1.7e308, 1.7e308), (True, [])])
def test_times_that_are_none_are_not_believed(http: httpx.Client, began: Any, ended: Any) -> None:
    texts = [
        event("session.updated", session={"audio": {"input": {"transcription": {}}}}),
        event("input_audio_buffer.speech_started", audio_start_ms=began),
        event("input_audio_buffer.speech_stopped", audio_end_ms=ended),
        event("input_audio_buffer.committed", item_id="i"),
        event("conversation.item.input_audio_transcription.failed", item_id="i"),
    ]
    with saying(texts) as url:
        user = user_at(http, url)
        with talk(user) as connection:
            next_event(connection, "conversation.item.input_audio_transcription.failed")
        eventually(lambda: user.balance()["tokensHeld"] == 0)
        assert user.balance()["tokensLeft"] == 100_000
