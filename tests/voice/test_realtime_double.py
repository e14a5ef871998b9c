"""The double of OpenAI's Realtime protocol, held against the official SDK: what this accepts, the
relay may rely on."""

import base64
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.doubles import Tool
from tests.doubles.realtime import (
    ENDS,
    RealtimeDouble,
    Service,
    Session,
    Transcript,
    Turn,
    silence,
    speech,
)
from tests.processes import Process, eventually, free_port

EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
TEXT = "One two three four five."
SHORT = Turn(input_tokens=120, output_tokens=4)


class Caller:
    """The SDK's connection, and what came by it."""

    def __init__(self, connection: Any, double: RealtimeDouble, key: str) -> None:
        self.connection = connection
        self._double, self._key = double, key
        self.created = self.until("session.created")[-1]

    @property
    def session(self) -> Session:
        return self._double.sessions(self._key)[-1]

    def send(self, kind: str, **members: Any) -> None:
        self.connection.send({"type": kind, **members})

    def say(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": content},
        )

    def append(self, audio: bytes) -> None:
        for start in range(0, len(audio), 9_600):
            part = base64.b64encode(audio[start : start + 9_600]).decode()
            self.send("input_audio_buffer.append", audio=part)

    def until(self, kind: str) -> list[dict[str, Any]]:
        """All events up to the next of this type; each is one that the SDK knows by all members."""
        found = []
        while True:
            event = self.connection.recv().to_dict()
            EVENTS.validate_python(event)
            found.append(event)
            if event["type"] == kind:
                return found

    def respond(self, **response: Any) -> list[dict[str, Any]]:
        self.send("response.create", response=response)
        return self.until("response.done")


@pytest.fixture(scope="module")
def double() -> Iterator[RealtimeDouble]:
    with RealtimeDouble() as double:
        yield double


@pytest.fixture
def key() -> str:
    return uuid4().hex


@contextmanager
def calling(double: RealtimeDouble, key: str, *services: Service) -> Iterator[Caller]:
    double.script(key, *services)
    client = openai.OpenAI(base_url=f"{double.url}/v1", api_key="sk-1", max_retries=0)
    with client, client.realtime.connect(model=key) as connection:
        yield Caller(connection, double, key)


def done(events: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(events[-1]["response"])


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def deltas(events: list[dict[str, Any]], kind: str) -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")


def counts(response: dict[str, Any]) -> tuple[int, int, int]:
    usage = response["usage"]
    return usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]


def test_a_spoken_response(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        caller.say("x" * 40)
        events = caller.respond(metadata={"of": "mine"}, instructions="y" * 40)
    response = done(events)
    assert response["status"] == "completed"
    assert response["metadata"] == {"of": "mine"}
    # The instructions, and an item of ten tokens; five pieces of a text token and 0.1 s of audio.
    assert counts(response) == (10 + 12, 15, 37)
    assert response["usage"]["output_token_details"] == {"text_tokens": 5, "audio_tokens": 10}
    assert deltas(events, "output_audio_transcript") == TEXT
    spoken = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(part)) for part in spoken) == 24_000
    assert kinds(events)[2:7] == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
    ]
    [recorded] = caller.session.responses
    assert (recorded.used, recorded.status) == (37, "completed")
    assert double.used(key) == 37


def test_a_written_response_and_tools(double: RealtimeDouble, key: str) -> None:
    weather = Tool("weather", {"city": "Zürich"})
    with calling(double, key, Service(turns=(Turn(tools=(weather, Tool("time"))),))) as caller:
        events = caller.respond(output_modalities=["text"])
    message, first, second = done(events)["output"]
    assert message["content"] == [{"type": "output_text", "text": TEXT}]
    assert deltas(events, "output_text") == TEXT
    assert (first["name"], first["arguments"]) == ("weather", '{"city": "Z\\u00fcrich"}')
    assert (second["name"], second["arguments"]) == ("time", "{}")
    assert counts(done(events))[1] == 5 + 2 + 1


def test_the_conversation_is_paid_again_each_time(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        first = counts(done(caller.respond()))
        second = counts(done(caller.respond()))
        alone = counts(done(caller.respond(conversation="none", input=[])))
    # 6 tokens of text, 10 of audio, 2 of the item.
    assert second[0] == first[0] + 18
    assert alone[0] == first[0]


def test_turns_are_given_one_after_the_other(double: RealtimeDouble, key: str) -> None:
    turns = (SHORT, Turn(input_tokens=135, output_tokens=4))
    with calling(double, key, Service(turns=turns)) as caller:
        found = [counts(done(caller.respond()))[2] for _ in range(3)]
    assert found == [124, 139, 139]
    assert double.used(key) == sum(found)


@pytest.mark.parametrize("by", ["session", "response"])
def test_a_limit_cuts(double: RealtimeDouble, key: str, by: str) -> None:
    with calling(double, key) as caller:
        if by == "session":
            caller.send("session.update", session={"type": "realtime", "max_output_tokens": 7})
            assert caller.until("session.updated")[-1]["session"]["max_output_tokens"] == 7
            events = caller.respond()
        else:
            events = caller.respond(max_output_tokens=7)
    response = done(events)
    assert response["status"] == "incomplete"
    assert response["status_details"]["reason"] == "max_output_tokens"
    assert counts(response)[1] == 7
    assert deltas(events, "output_audio_transcript") == "One two "
    assert response["max_output_tokens"] == 7


def test_a_limit_that_is_ignored(double: RealtimeDouble, key: str) -> None:
    with calling(double, key, Service(turns=(Turn(ignore_limit=True),))) as caller:
        assert counts(done(caller.respond(max_output_tokens=7)))[1] == 15


def test_a_response_that_is_cancelled(double: RealtimeDouble, key: str) -> None:
    with calling(double, key, Service(turns=(Turn(stop_at=3),))) as caller:
        caller.send("response.create")
        eventually(lambda: caller.session.responses and caller.session.responses[0].steps == 2)
        caller.send("response.cancel")
        response = done(caller.until("response.done"))
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert counts(response)[1] == 6


def test_a_response_that_waits_to_be_released(double: RealtimeDouble, key: str) -> None:
    with calling(double, key, Service(turns=(Turn(stop_at=-1),))) as caller:
        caller.send("response.create")
        caller.until("response.output_audio.delta")
        double.release(key)
        assert done(caller.until("response.done"))["status"] == "completed"


def test_usage_as_it_should_not_be(double: RealtimeDouble, key: str) -> None:
    turns = (
        Turn(usage="absent"),
        Turn(malformed="12"),
        Turn(details=False),
        Turn(reasoning_tokens=30, done_times=2),
    )
    with calling(double, key, Service(turns=turns)) as caller:
        assert done(caller.respond())["usage"] is None
        caller.send("response.create")
        # The SDK makes a number of it.
        while (event := json.loads(caller.connection.recv_bytes()))["type"] != "response.done":
            pass
        assert event["response"]["usage"]["input_tokens"] == "12"
        assert len(done(caller.respond())["usage"]) == 3
        response = done(caller.respond())
        assert response["usage"]["output_token_details"] == {"text_tokens": 35, "audio_tokens": 10}
        assert done(caller.until("response.done")) == response


def test_one_at_a_time_and_others_beside_it(double: RealtimeDouble, key: str) -> None:
    with calling(double, key, Service(turns=(Turn(stop_at=1), Turn()))) as caller:
        caller.send("response.create")
        caller.until("response.created")
        caller.send("response.create", event_id="mine")
        error = caller.until("error")[-1]["error"]
        assert (error["code"], error["event_id"]) == (
            "conversation_already_has_active_response",
            "mine",
        )
        beside = done(caller.respond(conversation="none"))
        assert (beside["status"], beside["conversation_id"]) == ("completed", None)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "nothing.known"}, "invalid_value"),
        ({"type": "session.update", "session": {"voice": "ash"}}, "missing_required_parameter"),
        (
            {"type": "session.update", "session": {"type": "realtime", "model": "m"}},
            "session_model_immutable",
        ),
        ({"type": "response.create", "response": {"max_output_tokens": 5000}}, "invalid_value"),
        ({"type": "conversation.item.delete", "item_id": "none"}, "item_not_found"),
    ],
)
def test_what_is_refused(
    double: RealtimeDouble, key: str, event: dict[str, Any], code: str
) -> None:
    with calling(double, key) as caller:
        caller.connection.send(event)
        assert caller.until("error")[-1]["error"]["code"] == code
        assert done(caller.respond())["status"] == "completed"


def test_speech_becomes_an_item_and_a_response(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        caller.append(silence(1) + speech(1.5) + silence(0.5))
        started, stopped, *events = caller.until("response.done")
    assert started["type"] == "input_audio_buffer.speech_started"
    assert started["audio_start_ms"] == 700
    assert stopped["audio_end_ms"] == 2700
    assert kinds(events)[:4] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    # The instructions, and 2 s of audio.
    assert counts(done(events))[0] == 19 + 2 + 20
    assert caller.session.audio_bytes == 3 * 48_000
    assert caller.session.responses[0].asked is None


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_speech_makes_no_response_where_that_is_off(
    double: RealtimeDouble, key: str, kind: str
) -> None:
    audio = {
        "input": {
            "format": {"type": kind, **({"rate": 24000} if kind == "audio/pcm" else {})},
            "turn_detection": {"type": "semantic_vad", "create_response": False},
        },
        "output": {"format": {"type": "audio/pcmu"}},
    }
    with calling(double, key) as caller:
        caller.send("session.update", session={"type": "realtime", "audio": audio})
        caller.append(speech(1, kind) + silence(1, kind))
        committed = caller.until("input_audio_buffer.committed")[-1]
        events = caller.respond()
    assert len(caller.session.responses) == 1
    assert committed["item_id"]
    spoken = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(part)) for part in spoken) == 4_000


def test_speech_interrupts(double: RealtimeDouble, key: str) -> None:
    with calling(double, key, Service(turns=(Turn(stop_at=2), Turn()))) as caller:
        caller.send("response.create")
        caller.until("response.output_audio.delta")
        caller.append(speech(0.5))
        response = done(caller.until("response.done"))
        assert response["status_details"]["reason"] == "turn_detected"


def test_audio_that_is_committed_by_hand_and_transcribed(double: RealtimeDouble, key: str) -> None:
    transcripts = (
        Transcript(text="Hi", input_tokens=17, output_tokens=9),
        Transcript(usage="duration"),
        Transcript(fails=True),
    )
    settings = {
        "turn_detection": None,
        "transcription": {"model": "gpt-4o-mini-transcribe"},
    }
    name = "conversation.item.input_audio_transcription"
    with calling(double, key, Service(transcripts=transcripts)) as caller:
        session = {"type": "realtime", "audio": {"input": settings}}
        caller.send("session.update", session=session)
        found = []
        for kind in ("completed", "completed", "failed"):
            caller.append(speech(1))
            caller.send("input_audio_buffer.commit")
            found.append(caller.until(f"{name}.{kind}")[-1])
    first, second, third = found
    assert (first["transcript"], first["usage"]["total_tokens"]) == ("Hi", 26)
    assert second["usage"] == {"type": "duration", "seconds": 1.0}
    assert third["error"]["code"] == "audio_unintelligible"
    assert double.used(key) == 26 + 10


def test_items_are_put_read_cut_and_deleted(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        caller.say("x" * 40)
        item = caller.until("conversation.item.done")[-1]["item"]
        caller.send("conversation.item.retrieve", item_id=item["id"])
        assert caller.until("conversation.item.retrieved")[-1]["item"] == item
        [spoken] = done(caller.respond())["output"]
        cut = {"item_id": spoken["id"], "content_index": 0, "audio_end_ms": 100}
        caller.send("conversation.item.truncate", **cut)
        caller.until("conversation.item.truncated")
        caller.send("conversation.item.delete", item_id=item["id"])
        caller.until("conversation.item.deleted")
        assert counts(done(caller.respond()))[0] == 19 + 4


@pytest.mark.parametrize("end", ENDS)
def test_how_a_session_ends(double: RealtimeDouble, key: str, end: str) -> None:
    with calling(double, key) as caller:
        double.end(key, end)
        if ENDS[end].code:
            assert caller.until("error")[-1]["error"]["code"] == ENDS[end].code
        with pytest.raises(ConnectionClosed) as closed:
            caller.connection.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (ENDS[end].close, ENDS[end].reason)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 3000),
        ({"Authorization": "Bearer sk-1", "OpenAI-Beta": "realtime=v1"}, 4000),
        ({"Authorization": "Bearer sk-1"}, 4000),
    ],
)
def test_handshakes_that_are_refused_after_they_were_accepted(
    double: RealtimeDouble, headers: dict[str, str], code: int
) -> None:
    query = "?model=m" if "OpenAI-Beta" in headers or not headers else ""
    url = f"{double.url.replace('http', 'ws', 1)}/v1/realtime{query}"
    with connect(url, additional_headers=headers) as connection:
        connection.recv()
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.mark.parametrize(
    ("service", "status"),
    [(Service(status=429, headers={"retry-after": "3"}), 429), (Service(redirect="/x"), 302)],
)
def test_handshakes_that_are_refused_by_http(
    double: RealtimeDouble, key: str, service: Service, status: int
) -> None:
    double.script(key, service)
    begun = double.handshakes
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": base64.b64encode(b"x" * 16).decode(),
        "sec-websocket-version": "13",
    }
    reply = httpx.get(f"{double.url}/v1/realtime?model={key}", headers=headers)
    assert reply.status_code == status
    assert "org-of-the-tenant" in reply.json()["error"]["message"]
    assert {**reply.headers, **service.headers} == dict(reply.headers)
    assert double.handshakes == begun + 1
    assert double.sessions(key) == []


def test_subprotocols(double: RealtimeDouble, key: str) -> None:
    url = f"{double.url.replace('http', 'ws', 1)}/v1/realtime?model={key}"
    offered: list[Any] = ["openai-insecure-api-key.ek_1", "realtime"]
    with connect(url, subprotocols=offered) as connection:
        connection.recv()
        assert connection.subprotocol == "realtime"
    assert double.sessions(key)[0].subprotocols == offered


@pytest.mark.parametrize(
    ("turn", "code"),
    [(Turn(cut_at=2), 1006), (Turn(end_at=2, end=ENDS["restart"]), 1012)],
)
def test_faults_while_it_responds(double: RealtimeDouble, key: str, turn: Turn, code: int) -> None:
    with calling(double, key, Service(turns=(turn,))) as caller:
        with pytest.raises(ConnectionClosed) as closed:
            caller.respond()
        assert (closed.value.rcvd.code if closed.value.rcvd else 1006) == code
        eventually(lambda: caller.session.ended)
        assert caller.session.responses[0].steps == 1


def test_what_a_test_does_to_a_session(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        double.begin(key, SHORT)
        assert counts(done(caller.until("response.done")))[2] == 124
        double.say(key, {"type": "rate_limits.updated", "event_id": "e", "rate_limits": []})
        assert caller.until("rate_limits.updated")[-1]["event_id"] == "e"
        double.cut(key)
        with pytest.raises(ConnectionClosed):
            caller.connection.recv()


def test_a_double_that_hears_nothing_more(double: RealtimeDouble, key: str) -> None:
    url = f"{double.url.replace('http', 'ws', 1)}/v1/realtime?model={key}"
    headers = {"Authorization": "Bearer sk-1"}
    with connect(url, additional_headers=headers, close_timeout=0.1) as connection:
        connection.recv()
        assert connection.ping().wait(5)
        double.deafen(key)
        assert not connection.ping().wait(0.2)


def test_how_a_client_leaves_is_kept(double: RealtimeDouble, key: str) -> None:
    with calling(double, key) as caller:
        caller.connection.close(code=4001, reason="enough")
    eventually(lambda: caller.session.ended)
    assert (caller.session.code, caller.session.reason) == (4001, "enough")


def test_the_command_answers_and_stops(tmp_path: Path) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "tests.doubles.realtime", "--port", port]
    with Process(command, {}, tmp_path / "out") as process:
        eventually(lambda: "Listening on" in process.text())
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=m"
        with connect(url, additional_headers={"Authorization": "Bearer sk-1"}) as connection:
            assert "session.created" in str(connection.recv())
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
