"""What a provider says twice, late, or of nothing: what it costs, and what it is held for."""

import asyncio
from itertools import count
from typing import Any

import orjson
import pytest

from server.voice.opening import EXPIRED, Cause
from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Transcript, Turn, speech
from tests.voice.conftest import Open, Talk, audio, refs, user_with

TRANSCRIBED: dict[str, Any] = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
}


async def say(double: RealtimeDouble, key: str, event: dict[str, Any]) -> None:
    await asyncio.to_thread(double.say, key, event)


async def settle_all(one: Talk) -> None:
    one.client.leave()
    await one.ending()
    await one.holding.finish(asyncio.get_running_loop().time() + 5)


@pytest.mark.parametrize("is_over", [False, True], ids=["running", "over"])
async def test_a_response_that_is_created_twice(
    api: Api, double: RealtimeDouble, talk: Open, is_over: bool
) -> None:
    key = double.script(f"created-twice-{is_over}", Service(turns=(Turn(stop_at=2),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    created = await one.client.until("response.created")
    if is_over:
        double.release(key)
        await one.client.until("response.done")
    await say(double, key, created)
    double.release(key)
    await one.client.until("response.done")
    one.client.say("response.create")
    await one.client.until("response.done", 2)
    await settle_all(one)
    assert len(refs(user)) == 2
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (double.used(key), 0)


async def test_one_that_nobody_asked_for_is_charged_though_its_client_leaves_at_once(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    """Before the loop has had a turn to hold for it."""
    user = user_with(api, 10_000)
    one = await talk(user, double.script("unasked-and-gone", Service()))
    usage = {"input_tokens": 30, "output_tokens": 12}
    for kind, members in (("created", {}), ("done", {"status": "completed", "usage": usage})):
        event = {"type": f"response.{kind}", "response": {"id": "resp_1", **members}}
        one.upstream.listener.message(orjson.dumps(event))
    await settle_all(one)
    assert (user.balance()["tokensUsed"], user.balance()["tokensHeld"]) == (42, 0)


async def test_a_transcript_that_comes_late_is_charged_once(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("late-transcript", Service(transcripts=(Transcript(delay=0.8),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.dictate(model="whisper-1")
    await one.client.until("conversation.item.input_audio_transcription.completed")
    await settle_all(one)
    [ref] = refs(user)
    assert ref["estimated"]
    assert user.balance()["tokensUsed"] == 50


async def test_a_report_of_nothing_does_not_forget_the_conversation(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    """So a provider reports what was cancelled before it had read anything."""
    turns = Turn(pieces=("Yes.",)), Turn(delay=10, input_tokens=0), Turn(pieces=("Yes.",))
    key = double.script("nothing-read", Service(turns=turns))
    user = user_with(api, 100_000)
    one = await talk(user, key, max_output=100)
    part = {"type": "input_text", "text": "Is this the way to the station? " * 200}
    message = {"type": "message", "role": "user", "content": [part]}
    one.client.say("conversation.item.create", item=message)
    one.client.say("response.create")
    await one.client.until("rate_limits.updated")
    one.client.say("response.create")
    one.client.say("response.cancel")
    await one.client.until("rate_limits.updated", 2)
    assert one.client.of("response.done")[1]["response"]["usage"]["total_tokens"] == 0
    one.client.say("response.create")
    await one.client.until("rate_limits.updated", 3)
    held = -next(entry["tokens"] for entry in user.ledger() if entry["op"] == "hold")
    assert held - 100 >= double.sessions(key)[0].responses[2].input


async def test_a_secret_of_the_providers_reaches_nobody(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    secret = {"client_secret": {"value": "ek_of-the-provider", "expires_at": 1_900_000_000}}
    key = double.script("has-secret", Service(session=secret))
    one = await talk(user_with(api, 10_000), key)
    await one.update({"type": "realtime", "instructions": "Be brief."})
    assert "ek_" not in str(one.client.events)


@pytest.mark.parametrize("cause", [None, EXPIRED], ids=["gone", "expired"])
async def test_who_reads_nothing_to_the_end_pays_what_is_reported(
    api: Api, double: RealtimeDouble, talk: Open, cause: Cause | None
) -> None:
    turn = Turn(pieces=("word ",) * 20, stop_at=2)
    key = double.script(f"unread-to-the-end-{cause is None}", Service(turns=(turn,)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("response.created")
    one.client.listener.full(True)
    double.release(key)
    if cause is not None:
        one.session.end(cause)
        await one.ending()
    await settle_all(one)
    [ref] = refs(user)
    assert "estimated" not in ref
    assert user.balance()["tokensUsed"] == double.used(key)


async def test_a_transcript_that_is_not_covered_ends_the_session(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    """At once, as each item more would be one more."""
    key = double.script("no-cover", Service(transcripts=(Transcript(comes=False),)))
    user = user_with(api, 30)
    one = await talk(user, key)
    await one.update(TRANSCRIBED)
    count = 0

    def is_answered() -> bool:
        return len(one.client.of("input_audio_buffer.committed")) > count

    while count < 50 and one.client.code is None:
        one.client.say("input_audio_buffer.append", audio=audio(speech(2)))
        one.client.say("input_audio_buffer.commit")
        await one.client.wait(lambda: one.client.code or is_answered())
        count += 1
    assert len(one.upstream.of("input_audio_buffer.commit")) < 10
    await one.ending()
    assert one.client.code == 4402
    await settle_all(one)
    assert (user.balance()["tokensLeft"], user.balance()["tokensHeld"]) == (0, 0)


async def test_a_transcripts_prompt_is_held_for(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("prompted", Service(transcripts=(Transcript(comes=False),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    await one.dictate(model="gpt-4o-transcribe", prompt="x" * 3_000)
    await one.client.until("rate_limits.updated")
    assert user.balance()["tokensUsed"] == 50 + 1_000


async def test_a_provider_that_begins_responses_for_ever(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    """Its user has left, and pays for nothing more."""
    user = user_with(api, 10_000_000)
    one = await talk(user, double.script("for-ever", Service()))

    async def begin() -> None:
        for number in count():
            event = {"type": "response.created", "response": {"id": f"r{number}"}}
            one.upstream.listener.message(orjson.dumps(event))
            await asyncio.sleep(0.05)

    beginning = asyncio.create_task(begin())
    one.client.leave()
    await one.ending()
    beginning.cancel()
    await one.holding.finish(asyncio.get_running_loop().time() + 5)
    assert user.balance()["tokensHeld"] == 0
