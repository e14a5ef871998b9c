"""What is said costs its transcript, once, also where its client or its session has gone before
anybody has heard of that."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from server.voice.opening import EXPIRED
from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Transcript, silence, speech
from tests.processes import until
from tests.voice.conftest import HURRIED, Open, Talk, audio, refs, user_with

NEVER = Service(transcripts=(Transcript(comes=False),))
ESTIMATE = 50
"""Of two seconds."""
NAME = "conversation.item.input_audio_transcription"


def session(detection: object = None) -> dict[str, Any]:
    heard = {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": detection}
    return {"type": "realtime", "audio": {"input": heard}}


async def settle_all(one: Talk) -> None:
    one.client.leave()
    await one.ending()
    await one.holding.finish(asyncio.get_running_loop().time() + 5)


async def say(double: RealtimeDouble, key: str, kind: str, **members: Any) -> None:
    event = {"type": kind, "item_id": "item_1", "content_index": 0, **members}
    await asyncio.to_thread(double.say, key, event)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not-yet"])
async def test_who_commits_and_leaves_pays(
    api: Api, double: RealtimeDouble, talk: Open, is_known: bool
) -> None:
    """Though nobody has heard that there is an item, nor that there are transcripts."""
    key = double.script(f"commits-and-leaves-{is_known}", NEVER)
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("session.update", session=session())
    if is_known:
        await one.client.until("session.updated")
    one.client.say("input_audio_buffer.append", audio=audio(speech(2)))
    one.client.say("input_audio_buffer.commit")
    await settle_all(one)
    [ref] = refs(user)
    assert ref["estimated"]
    assert ref["item"]
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (ESTIMATE, 0)


@pytest.mark.parametrize("clears", [0, 2])
async def test_who_has_spoken_and_leaves_pays(
    api: Api, double: RealtimeDouble, talk: Open, clears: int
) -> None:
    key = double.script(f"has-spoken-{clears}", NEVER)
    user = user_with(api, 10_000)
    one = await talk(user, key)
    detection = {"type": "server_vad", "create_response": False}
    await one.update(session(detection))
    one.client.say("input_audio_buffer.append", audio=audio(speech(2) + silence(1)))
    for _ in range(clears):
        one.client.say("input_audio_buffer.clear")
    await settle_all(one)
    assert len(refs(user)) == 1
    assert ESTIMATE <= user.balance()["tokensUsed"] <= ESTIMATE + 15


async def test_a_provider_that_does_not_say_what_it_has_heard(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("hears-no-more", NEVER)
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.update(session())
    await asyncio.to_thread(double.deafen, key)
    for seconds in (2, 0.05, 1):
        one.client.say("input_audio_buffer.append", audio=audio(speech(seconds)))
        one.client.say("input_audio_buffer.commit")
    await settle_all(one)
    [ref] = refs(user)
    assert ref["estimated"]
    assert user.balance()["tokensUsed"] == ESTIMATE + 35


async def test_what_is_cleared_or_too_short_is_free(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("cleared", NEVER)
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.update(session())
    one.client.say("input_audio_buffer.append", audio=audio(speech(2)))
    one.client.say("input_audio_buffer.clear")
    await one.client.until("input_audio_buffer.cleared")
    one.client.say("input_audio_buffer.commit")
    one.client.say("input_audio_buffer.append", audio=audio(speech(2)))
    await settle_all(one)
    assert user.balance()["tokensUsed"] == 0
    assert len(one.client.of("input_audio_buffer.cleared")) == 1


USAGE = {"type": "tokens", "input_tokens": 20, "output_tokens": 3}


@pytest.mark.parametrize(
    ("before", "tokens"),
    [
        ([("delta", {"delta": "Hi"})], ESTIMATE),
        ([("completed", {"transcript": "Hi"})], ESTIMATE),
        ([("completed", {"transcript": "Hi", "usage": USAGE})], 23),
        ([("delta", {"delta": "Hi"}), ("completed", {"usage": USAGE})], 23),
        ([("failed", {"error": {"code": "audio_unintelligible"}})], 0),
    ],
    ids=["delta", "no-usage", "usage", "delta-and-usage", "failed"],
)
@pytest.mark.parametrize("is_said", [True, False], ids=["committed", "never-committed"])
async def test_a_transcript_before_its_item_is_charged_once(
    api: Api,
    double: RealtimeDouble,
    talk: Open,
    before: list[tuple[str, Any]],
    tokens: int,
    is_said: bool,
) -> None:
    kinds = "-".join(kind + str(len(members)) for kind, members in before)
    key = double.script(f"before-{kinds}-{is_said}", NEVER)
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.update(session())
    one.upstream.send = lambda text: None  # type: ignore[method-assign]  # the test has its part
    one.client.say("input_audio_buffer.append", audio=audio(speech(2)))
    one.client.say("input_audio_buffer.commit")
    for kind, members in before:
        await say(double, key, f"{NAME}.{kind}", **members)
        await one.client.until(f"{NAME}.{kind}")
    if is_said:
        await say(double, key, "input_audio_buffer.committed")
        await one.client.until("input_audio_buffer.committed")
    await settle_all(one)
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (tokens, 0)
    assert len(refs(user)) == (tokens > 0)


async def test_an_end_does_not_wait_for_tokens_that_others_hold(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("waits-for-others", NEVER)
    user = user_with(api, 1_000)
    one = await talk(user, key, timeouts=replace(HURRIED, tokens_held=20, heard=0.1))
    held = user.hold({"tokens": 1_000}).json()
    await one.dictate(model="whisper-1")
    waiting = one.holding.waiting
    await until(lambda: waiting._of_user)
    one.session.end(EXPIRED)
    await one.ending()
    assert one.client.code == 1001
    assert waiting._of_user
    assert user.settle(held["holdId"], 0).status_code == 200
    await one.holding.finish(asyncio.get_running_loop().time() + 5)
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (ESTIMATE, 0)


async def test_a_worker_that_stops_charges_what_waits_for_tokens(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("stops-while-it-waits", NEVER)
    user = user_with(api, 1_000)
    one = await talk(user, key, timeouts=replace(HURRIED, tokens_held=20, heard=0.1))
    assert user.hold({"tokens": 900}).status_code == 201
    await one.dictate(model="gpt-4o-transcribe", prompt="x" * 300)
    await until(lambda: one.holding.waiting._of_user)
    one.client.leave()
    await one.ending()
    await one.holding.finish(asyncio.get_running_loop().time())
    assert user.balance()["tokensUsed"] == 100
