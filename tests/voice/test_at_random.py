"""Sessions of all that can happen, ended anywhere: each response and transcript is charged
once, no hold stays."""

import asyncio
import random
from collections import Counter
from uuid import uuid4

import pytest

from server.voice.opening import EXPIRED, SHUTDOWN
from tests.api import Api, User
from tests.doubles.realtime import RealtimeDouble, Service, Transcript, Turn, silence, speech
from tests.processes import eventually
from tests.voice.conftest import Open, Talk, audio, refs, user_with

SESSIONS = 8
"""Of each seed, one after the other."""
TURN_ON = {"transcription": {"model": "whisper-1"}}


def _turn(chance: random.Random) -> Turn:
    return Turn(
        pieces=("word ",) * chance.randint(0, 8),
        pause=chance.choice((0, 0, 0.01)),
        done_times=chance.choice((1, 1, 2)),
        status=chance.choice(("completed", "completed", "failed")),
        reasoning_tokens=chance.choice((0, 20)),
        cut_at=chance.choice((None,) * 9 + (2,)),
    )


async def _do(one: Talk, double: RealtimeDouble, key: str, chance: random.Random) -> None:
    client = one.client
    match chance.randrange(9):
        case 0 | 1:
            client.say("response.create")
        case 2:
            given = [{"type": "message", "role": "user", "content": []}]
            client.say("response.create", response={"conversation": "none", "input": given})
        case 3:
            client.say("input_audio_buffer.append", audio=audio(speech(0.3) + silence(0.5)))
        case 4:
            client.say("response.cancel")
        case 5:
            double.begin(key)
        case 6:
            client.say("session.update", session={"type": "realtime", "audio": {"input": TURN_ON}})
        case 7:
            client.say("input_audio_buffer.append", audio=audio(speech(0.3)))
            client.say(f"input_audio_buffer.{chance.choice(('clear', 'commit', 'commit'))}")
        case 8:
            await asyncio.sleep(chance.uniform(0, 0.05))


async def _end(one: Talk, double: RealtimeDouble, key: str, chance: random.Random) -> str:
    """The outcome."""
    match chance.randrange(5):
        case 0:
            one.client.leave()
        case 1:
            double.cut(key)
        case 2:
            one.session.end(SHUTDOWN)
        case 3:
            one.session.end(EXPIRED)
        case 4:
            await asyncio.to_thread(double.end, key, "going away")
    ending = await one.ending()
    await one.holding.finish(asyncio.get_running_loop().time() + 5)
    return ending.cause.outcome


@pytest.mark.parametrize("seed", range(3))
async def test_each_response_is_charged_once(
    api: Api, double: RealtimeDouble, talk: Open, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(SESSIONS):
        turns = tuple(_turn(chance) for _ in range(10))
        service = Service(turns=turns, transcripts=(Transcript(), Transcript(comes=False)))
        key = double.script(uuid4().hex, service)
        user = user_with(api, 1_000_000)
        one = await talk(user, key)
        for _ in range(chance.randint(0, 12)):
            await _do(one, double, key, chance)
        outcome = await _end(one, double, key, chance)
        await asyncio.to_thread(_check, user, double, key, outcome)


def _check(user: User, double: RealtimeDouble, key: str, outcome: str) -> None:
    eventually(lambda: user.balance()["tokensHeld"] == 0)
    eventually(lambda: double.sessions(key)[0].ended)
    # Also within a session that was about to end.
    has_provider_gone = outcome == "provider" or double.sessions(key)[0].code != 1000
    settled = [ref for ref in refs(user) if "response" in ref]
    assert set(Counter(ref["response"] for ref in settled).values()) <= {1}
    by_id = {ref["response"]: ref for ref in settled}
    responses = double.sessions(key)[0].responses
    are_asked = all(response.asked is not None for response in responses)
    for response in responses:
        ref = by_id.get(response.response_id)
        if ref is not None and not ref.get("estimated"):
            assert (ref["input"], ref["output"]) == (response.input, response.output)
        # Of those that nobody asked for the last one may begin when we have gone, and one before
        # may be taken for what was asked for; and what a provider that goes has not said it has
        # begun is free.
        if are_asked and not has_provider_gone:
            assert ref is not None, (outcome, response)
    items = Counter(ref.get("item") for ref in refs(user) if "response" not in ref)
    if has_provider_gone:  # it may have said nothing of some
        assert set(items) <= {*double.sessions(key)[0].items, None}
    else:
        assert items == Counter(double.sessions(key)[0].items)
    assert user.balance()["tokensUsed"] == sum(ref["input"] + ref["output"] for ref in refs(user))
