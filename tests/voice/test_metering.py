"""What a session costs: each response what the provider reports of it, once."""

import pytest

from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Transcript, Turn, silence, speech
from tests.voice.conftest import Open, audio, refs, user_with


async def test_each_response_is_charged_what_is_reported(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    """Not the last one alone, nor as if the reports were of the whole session; and none is a
    request of the rate limit."""
    turns = Turn(input_tokens=120, output_tokens=4), Turn(input_tokens=135, output_tokens=4)
    key = double.script("two-turns", Service(turns=turns))
    user = user_with(api, 10_000, rate_limit=1)
    one = await talk(user, key)
    for number in (1, 2):
        one.client.say("response.create")
        await one.client.until("rate_limits.updated", number)
    balance = user.balance()
    assert (balance["tokensUsed"], balance["tokensHeld"]) == (263, 0)
    told = [event["rate_limits"][0] for event in one.client.of("rate_limits.updated")]
    assert [(limit["limit"], limit["remaining"]) for limit in told] == [
        (10_000, 10_000 - 124),
        (10_000, 10_000 - 263),
    ]
    counts = [(ref["input"], ref["output"]) for ref in refs(user)]
    assert counts == [(120, 4), (135, 4)]
    ref, session = refs(user)[0], one.client.of("session.created")[0]["session"]
    assert ref["session"] == session["id"]
    assert ref["response"] == one.client.of("response.done")[0]["response"]["id"]
    assert (ref["requestId"], ref["endpoint"], ref["model"]) == (
        *("request-1", "openai_realtime"),
        key,
    )


async def test_said_twice_it_is_charged_once(api: Api, double: RealtimeDouble, talk: Open) -> None:
    """And reasoning is a part of the text, not beside it."""
    turn = Turn(input_tokens=50, reasoning_tokens=30, done_times=3)
    key = double.script("twice", Service(turns=(turn,)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    for number in (1, 2):
        one.client.say("response.create")
        await one.client.until("rate_limits.updated", number)
    assert user.balance()["tokensUsed"] == double.used(key)
    assert len(one.client.of("response.done")) == 2


async def test_speech_is_answered_by_a_response_that_is_held(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("speech", Service())
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("input_audio_buffer.append", audio=audio(speech(1) + silence(1)))
    await one.client.until("rate_limits.updated")
    [asked] = one.upstream.of("response.create")
    assert asked["response"]["max_output_tokens"] == 4096
    assert user.balance()["tokensUsed"] == double.used(key)
    for event in one.client.events:
        assert "vibe" not in str(event)
    created = one.client.of("session.created")[0]["session"]
    assert created["audio"]["input"]["turn_detection"]["create_response"] is True
    assert created["max_output_tokens"] == "inf"


async def test_a_commit_by_the_client_is_answered_by_nothing(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("commit", Service())
    one = await talk(user_with(api, 10_000), key)
    one.client.say("input_audio_buffer.append", audio=audio(speech(0.5)))
    one.client.say("input_audio_buffer.commit")
    await one.client.until("input_audio_buffer.committed")
    one.client.say("input_audio_buffer.append", audio=audio(speech(0.5) + silence(1)))
    await one.client.until("input_audio_buffer.committed", 2)
    await one.client.until("response.done")
    assert len(one.upstream.of("response.create")) == 1


async def test_who_wants_no_answer_gets_none(api: Api, double: RealtimeDouble, talk: Open) -> None:
    key = double.script("mute", Service())
    one = await talk(user_with(api, 10_000), key)
    detection = {"type": "server_vad", "create_response": False}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    shown = (await one.update(session))["session"]
    assert shown["audio"]["input"]["turn_detection"]["create_response"] is False
    one.client.say("input_audio_buffer.append", audio=audio(speech(0.5) + silence(1)))
    await one.client.until("input_audio_buffer.committed")
    one.client.say("conversation.item.retrieve", item_id="none")
    await one.client.until("error")
    assert not one.upstream.of("response.create")


async def test_parallel_responses_are_each_settled(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("parallel", Service(turns=(Turn(stop_at=1),)))
    user = user_with(api, 100_000)
    one = await talk(user, key)
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A"}]}
    apart = {"conversation": "none", "input": [message], "metadata": {"topic": "one"}}
    one.client.say("response.create")
    for _ in range(3):
        one.client.say("response.create", response=apart)
    await one.client.until("response.created", 4)
    one.client.say("response.create", event_id="fifth", response=apart)
    error = (await one.client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("too_many_calls", "fifth")
    double.release(key)
    await one.client.until("rate_limits.updated", 4)
    assert user.balance()["tokensUsed"] == double.used(key)
    assert {"topic": "one"} in [
        done["response"]["metadata"] for done in one.client.of("response.done")
    ]


@pytest.mark.parametrize(
    ("transcript", "estimated"),
    [
        (Transcript(), False),
        (Transcript(usage="duration"), False),
        (Transcript(usage="absent"), True),
        (Transcript(comes=False), True),
    ],
    ids=["tokens", "duration", "absent", "never"],
)
async def test_a_transcript_is_charged(
    api: Api, double: RealtimeDouble, talk: Open, transcript: Transcript, estimated: bool
) -> None:
    key = double.script(
        f"transcript-{transcript.usage}-{transcript.comes}", Service(transcripts=(transcript,))
    )
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.dictate(model="gpt-4o-mini-transcribe")
    await one.client.until("rate_limits.updated")
    [ref] = refs(user)
    assert ref["item"] == one.client.of("input_audio_buffer.committed")[0]["item_id"]
    assert bool(ref.get("estimated")) is estimated
    assert user.balance()["tokensUsed"] == (50 if estimated else double.used(key))


async def test_a_transcript_that_fails_is_free(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("no-transcript", Service(transcripts=(Transcript(fails=True),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.dictate(model="whisper-1")
    await one.client.until("rate_limits.updated")
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (0, 0)
