"""What a client may send: all else is refused, and the provider never sees it."""

from typing import Any

import orjson
import pytest

from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service
from tests.voice.conftest import Open, user_with

Event = dict[str, Any]
MCP = {"type": "mcp", "server_label": "one", "server_url": "https://one.example"}


def update(**session: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def create(**response: Any) -> Event:
    return {"type": "response.create", "response": response}


def item(**members: Any) -> Event:
    return {"type": "conversation.item.create", "item": members}


def detection(**members: Any) -> Event:
    return {"input": {"turn_detection": {"type": "server_vad", **members}}}


REFUSED: dict[str, tuple[Event, str]] = {
    "no type": ({}, "type"),
    "a type that is none": ({"type": ["session.update"]}, "type"),
    "unknown": ({"type": "response.begin"}, "type"),
    "of WebRTC": ({"type": "output_audio_buffer.clear"}, "type"),
    "of the beta": ({"type": "transcription_session.update", "session": {}}, "type"),
    "audio that is none": ({"type": "input_audio_buffer.append", "audio": 1}, "audio"),
    "no session": ({"type": "session.update"}, "session"),
    "transcription": (
        {"type": "session.update", "session": {"type": "transcription"}},
        "session.type",
    ),
    "unknown member": (update(modalities=["text"]), "session.modalities"),
    "unknown member of audio": (update(audio={"both": {}}), "session.audio.both"),
    "unknown member of input": (
        update(audio={"input": {"model": "x"}}),
        "session.audio.input.model",
    ),
    "audio of a session": (update(audio=[]), "session.audio"),
    "no audio of a session": (update(audio=None), "session.audio"),
    "limit": (update(max_output_tokens=0), "session.max_output_tokens"),
    "limit as text": (update(max_output_tokens="100"), "session.max_output_tokens"),
    "idling": (
        update(audio=detection(idle_timeout_ms=6_000)),
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    "a detection that is none": (
        update(audio={"input": {"turn_detection": "server_vad"}}),
        "session.audio.input.turn_detection",
    ),
    "mcp": (update(tools=[{"type": "function", "name": "f"}, MCP]), "session.tools.1"),
    "tools that are none": (update(tools={"type": "mcp"}), "session.tools"),
    "prompt": (update(prompt={"id": "pmpt_1"}), "session.prompt"),
    "response": ({"type": "response.create", "response": []}, "response"),
    "mcp of a response": (create(tools=[MCP]), "response.tools.0"),
    "prompt of a response": (create(prompt={"id": "pmpt_1"}), "response.prompt"),
    "model of a response": (create(model="gpt-other"), "response.model"),
    "limit of a response": (create(max_output_tokens=1.5), "response.max_output_tokens"),
    "metadata": (create(metadata={str(n): "" for n in range(16)}), "response.metadata"),
    "conversation": (create(conversation="conv_1"), "response.conversation"),
    "input": (create(input="Hello"), "response.input"),
    "input of a kind": (create(input=[{"type": "mcp_call"}]), "response.input.0"),
    "item": (item(type="mcp_approval_response", approve=True), "item"),
    "no item": ({"type": "conversation.item.create"}, "item"),
    "a kind that is none": (item(type=["message"]), "item"),
    "a part's kind that is none": (
        item(type="message", role="user", content=[{"type": {"a": 1}}]),
        "item.content.0",
    ),
    "an input's kind that is none": (create(input=[{"type": []}]), "response.input.0"),
    "a part": (
        item(type="message", role="user", content=[{"type": "input_file", "file_id": "f"}]),
        "item.content.0",
    ),
    "content": (item(type="message", role="user", content="Hello"), "item.content"),
}


@pytest.fixture(scope="module")
def plain(double: RealtimeDouble) -> str:
    return double.script("plain", Service())


async def test_what_is_not_in_the_table_is_refused(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain)
    for number, (name, (event, param)) in enumerate(REFUSED.items(), 1):
        one.client.say(orjson.dumps({**event, "event_id": name}))
        error = (await one.client.until("error", number))["error"]
        assert (error["event_id"], error["param"]) == (name, param)
        assert error["type"] == "invalid_request_error"
    assert len(one.upstream.sent) == 1
    assert one.client.code is None


async def test_an_endpoint_may_be_unbounded(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain, unbounded=True)
    shown = await one.update({"type": "realtime", "tools": [MCP]})
    assert shown["session"]["tools"] == [MCP]


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"input_audio_buffer.clear","type":"response.create","event_id":"a"}',
        b'{"type":"response.create","type":"input_audio_buffer.clear","event_id":"a"}',
        b'{"typ\\u0065":"response.creat\\u0065","event_id":"a"}',
    ],
)
async def test_two_parsers_cannot_disagree(api: Api, plain: str, talk: Open, text: bytes) -> None:
    """Of two keys of one name the last is taken, and that is what the provider gets."""
    user = user_with(api, 10_000)
    one = await talk(user, plain)
    one.client.say(text)
    one.client.say("conversation.item.retrieve", item_id="none")
    await one.client.until("error")
    created = one.upstream.of("response.create")
    assert all("max_output_tokens" in event["response"] for event in created)
    holds = [entry for entry in user.ledger() if entry["op"] == "hold"]
    assert len(created) == len(holds)


async def test_the_defaults_of_the_agents_sdk(api: Api, plain: str, talk: Open) -> None:
    user = user_with(api, 10_000)
    one = await talk(user, plain)
    one.client.say(
        "session.update",
        session={
            "type": "realtime",
            "model": "gpt-realtime-2.1",
            "max_output_tokens": "inf",
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-4o-mini-transcribe"},
                    "turn_detection": {"type": "semantic_vad", "create_response": True},
                },
            },
        },
    )
    one.client.say("session.update", session={"type": "realtime", "tracing": "auto"})
    await one.client.until("session.updated", 2)
    sent = one.upstream.of("session.update")[1]["session"]
    assert sent["model"] == plain
    assert sent["max_output_tokens"] == 4096
    assert sent["audio"]["input"]["turn_detection"]["create_response"] is False
    for event in one.client.of("session.updated"):
        shown = event["session"]
        assert shown["max_output_tokens"] == "inf"
        assert shown["audio"]["input"]["turn_detection"]["create_response"] is True


async def test_a_deeply_nested_event(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain)
    deep = b'{"type":"response.create","response":{"tool_choice":' + b"[" * 400 + b"]" * 400 + b"}}"
    one.client.say(deep)
    await one.client.until("error")
    assert len(one.upstream.sent) == 1


async def test_an_event_of_too_many_values(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain)
    head = b'{"type":"input_audio_buffer.append","audio":"'
    one.client.say(head + b'","more":[' + b"{}," * 60_000 + b"{}]}")
    error = (await one.client.until("error"))["error"]
    assert error["message"] == "Too many values, or nested too deeply"
    assert len(one.upstream.sent) == 1
    one.client.say(head + b"A" * 1_000_000 + b'"}')
    assert len(one.upstream.sent) == 2


async def test_errors_of_the_provider_name_the_clients_event(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("active", Service())
    user = user_with(api, 10_000)
    one = await talk(user, key)
    given = [{"type": "item_reference", "id": "none"}]
    one.client.say("response.create", event_id="bad", response={"input": given})
    error = (await one.client.until("error"))["error"]
    assert error["event_id"] == "bad"
    one.client.say("response.cancel", event_id="cancel")
    error = (await one.client.wait(lambda: one.client.of("error")[1:]))[0]["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "cancel")
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (0, 0)


async def test_a_client_secrets_session_is_bound_by_the_same_table(
    api: Api, plain: str, talk: Open
) -> None:
    session = {"type": "realtime", "instructions": "Be brief.", "max_output_tokens": 50}
    one = await talk(user_with(api, 10_000), plain, session=session)
    assert one.client.of("session.created")[0]["session"]["instructions"] == "Be brief."
    one.client.say("response.create")
    await one.client.until("response.done")
    assert one.upstream.of("response.create")[0]["response"]["max_output_tokens"] == 50


@pytest.mark.parametrize(
    ("member", "param"),
    [({"tools": [MCP]}, "session.tools.0"), ({"audio": None}, "session.audio")],
    ids=["mcp", "audio"],
)
async def test_a_client_secrets_session_that_is_refused_now(
    api: Api, plain: str, talk: Open, member: Event, param: str
) -> None:
    """It begins as one without, and is bounded like that."""
    one = await talk(user_with(api, 10_000), plain, session={"type": "realtime", **member})
    assert one.client.of("error")[0]["error"]["param"] == param
    assert one.client.of("session.created")[0]["session"]["tools"] == []
    [sent] = one.upstream.of("session.update")
    assert sent["session"]["audio"]["input"]["turn_detection"]["create_response"] is False


async def test_a_session_that_the_provider_refuses(api: Api, plain: str, talk: Open) -> None:
    """Its client is told why."""
    one = await talk(user_with(api, 10_000), plain, first="error", max_output=10_000)
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("provider", 1011)
    assert [event["error"]["code"] for event in one.client.of("error")] == ["invalid_value"]


async def test_who_reads_no_refusals_is_read_no_more(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain)
    one.client.listener.full(True)
    for _ in range(5):
        one.client.say("response.begin")
    assert len(one.client.of("error")) == 1
    one.client.listener.full(False)
    await one.client.until("error", 5)


async def test_who_reads_slowly_may_speak(api: Api, plain: str, talk: Open) -> None:
    one = await talk(user_with(api, 10_000), plain)
    one.client.listener.full(True)
    for _ in range(5):
        one.client.say("input_audio_buffer.clear")
    assert len(one.upstream.of("input_audio_buffer.clear")) == 5
    one.upstream.listener.full(True)
    one.client.say("input_audio_buffer.clear")
    assert len(one.upstream.of("input_audio_buffer.clear")) == 5
    one.upstream.listener.full(False)
    one.client.listener.full(False)
    await one.client.until("input_audio_buffer.cleared", 6)


@pytest.mark.parametrize(
    "rich",
    [
        {"type": "conversation.item.delete", "a": [[]] * 100_000},
        item(type="message", role="user", content=[{"type": "input_text"}] * 100_000),
        create(input=[{"type": "item_reference"}] * 100_000),
    ],
    ids=["passed on", "parts", "references"],
)
async def test_an_event_of_very_many_values(api: Api, plain: str, talk: Open, rich: Event) -> None:
    """It is not parsed: that would hold up all others."""
    one = await talk(user_with(api, 10_000), plain)
    one.client.say(orjson.dumps(rich))
    assert (await one.client.until("error"))["error"]["message"].startswith("Too many values")
    assert len(one.upstream.sent) == 1
    assert one.client.code is None
    for _ in range(2):
        one.client.say(orjson.dumps(rich))
    await one.ending()
    assert one.client.code == 1008
