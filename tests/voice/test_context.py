"""What a response is held for covers what it reads, whatever the conversation has been."""

import random
from typing import Any

import pytest

from server.voice.config import Config
from server.voice.context import Context
from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Turn, silence, speech
from tests.voice.conftest import Open, audio, user_with
from tests.voice.ends import ClientEnd

SEEDS = range(4)
OUTPUT = 100
_WORDS = "Is this the way to the station, or was it the other one? "


async def _text(client: ClientEnd, chance: random.Random) -> None:
    text = _WORDS * chance.randint(1, 20)
    part = {"type": "input_text", "text": text}
    client.say("conversation.item.create", item=_message(part))


async def _audio_item(client: ClientEnd, chance: random.Random) -> None:
    part = {"type": "input_audio", "audio": audio(speech(chance.uniform(0.1, 4)))}
    client.say("conversation.item.create", item=_message(part))


async def _image(client: ClientEnd, chance: random.Random) -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 3_000}
    client.say("conversation.item.create", item=_message(part))


async def _tool(client: ClientEnd, chance: random.Random) -> None:
    called = {"type": "function_call_output", "call_id": "call_1", "output": _WORDS}
    client.say("conversation.item.create", item=called)


async def _commit(client: ClientEnd, chance: random.Random) -> None:
    client.say("input_audio_buffer.append", audio=audio(speech(chance.uniform(0.2, 3))))
    client.say("input_audio_buffer.commit")


async def _instruct(client: ClientEnd, chance: random.Random) -> None:
    text = _WORDS * chance.randint(0, 10)
    client.say("session.update", session={"type": "realtime", "instructions": text})


async def _arm(client: ClientEnd, chance: random.Random) -> None:
    tool = {"type": "function", "name": "look_up", "description": _WORDS}
    tools = [tool] * chance.randint(0, 3)
    client.say("session.update", session={"type": "realtime", "tools": tools})


ACTS = (_text, _audio_item, _image, _tool, _commit, _instruct, _arm)


def _message(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [part]}


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_response_is_held_for_what_it_reads(
    api: Api, double: RealtimeDouble, talk: Open, seed: int
) -> None:
    chance = random.Random(seed)
    key = double.script(f"context-{seed}", Service(turns=(Turn(pieces=("Yes. ",)),)))
    user = user_with(api, 1_000_000).become_permanent()
    user.grant({"tokens": 1_000_000})
    one = await talk(user, key, max_output=OUTPUT, image_tokens=100)
    for number in range(1, 13):
        for _ in range(chance.randint(0, 3)):
            await chance.choice(ACTS)(one.client, chance)
        one.client.say("response.create")
        await one.client.until("rate_limits.updated", number)
    holds = [-entry["tokens"] for entry in user.ledger()[::-1] if entry["op"] == "hold"]
    read = [response.input for response in double.sessions(key)[0].responses]
    lacking = [
        (number, held - OUTPUT, used)
        for number, (held, used) in enumerate(zip(holds, read, strict=True))
        if held - OUTPUT < used
    ]
    assert not lacking
    assert sum(holds) - OUTPUT * len(holds) < 2 * sum(read) + 500 * len(read)
    assert user.balance()["tokensUsed"] == double.used(key)


async def test_an_update_that_the_provider_refuses_lowers_nothing(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("refused-update", Service(turns=(Turn(pieces=("Yes. ",)),)))
    user = user_with(api, 100_000)
    one = await talk(user, key, max_output=OUTPUT)
    one.client.say("response.create")
    await one.client.until("rate_limits.updated")
    await one.update({"type": "realtime", "instructions": _WORDS * 100})
    other = {"instructions": "", "audio": {"output": {"voice": "another"}}}
    one.client.say("session.update", session={"type": "realtime", **other})
    await one.client.until("error")
    one.client.say("response.create")
    await one.client.until("rate_limits.updated", 2)
    held = -next(entry["tokens"] for entry in user.ledger() if entry["op"] == "hold")
    assert held - OUTPUT >= double.sessions(key)[0].responses[1].input


async def test_what_is_being_said_is_held_for(api: Api, double: RealtimeDouble, talk: Open) -> None:
    """The response may be over at the provider by the time that it is asked for the next one."""
    key = double.script("being-said", Service(turns=(Turn(stop_at=-1),)))
    user = user_with(api, 10_000)
    one = await talk(user, key, max_output=OUTPUT)
    one.client.say("response.create")
    await one.client.until("response.output_audio.delta", 5)
    one.client.say("response.create")
    await one.client.until("error")
    second, first = [-entry["tokens"] for entry in user.ledger() if entry["op"] == "hold"]
    assert second - first >= double.sessions(key)[0].responses[0].output


async def test_silence_is_not_held_for(api: Api, double: RealtimeDouble, talk: Open) -> None:
    """What the provider has not heard as speech is in no item."""
    key = double.script("silence", Service())
    user = user_with(api, 10_000)
    one = await talk(user, key)
    for _ in range(10):
        one.client.say("input_audio_buffer.append", audio=audio(silence(3)))
    one.client.say("input_audio_buffer.append", audio=audio(speech(1) + silence(1)))
    await one.client.until("rate_limits.updated")
    [held] = [-entry["tokens"] for entry in user.ledger() if entry["op"] == "hold"]
    assert held - 4096 < 100


def test_a_report_covers_what_came_before_its_response_alone() -> None:
    context = Context(1_000)
    context.configure({"instructions": "x" * 30, "tools": []})
    assert (context.tokens, context.prompt) == (10, 10)
    context.add(5)
    mark = context.mark()
    context.add(7)
    context.configure({"instructions": "x" * 60})
    context.report(mark, 100)
    assert context.tokens == 100 + 7 + 20
    context.report(context.mark(), 150)
    assert context.tokens == 150
    context.add(2_000)
    assert context.tokens == 1_000


def test_what_was_asked_for_counts_until_a_report() -> None:
    """The provider may tell of it late, or refuse it."""
    context = Context(10_000)
    context.configure({"instructions": "x" * 30})
    context.report(context.mark(), 100)
    context.expect({"instructions": "x" * 900})
    context.configure({"instructions": "x" * 30})  # for an update before
    assert (context.tokens, context.prompt) == (400, 300)
    mark = context.mark()
    context.configure({"instructions": "x" * 900})
    context.report(mark, 400)
    assert (context.tokens, context.prompt) == (400, 300)
    context.expect({"instructions": ""})
    assert (context.tokens, context.prompt) == (400, 300)
    mark = context.mark()
    context.expect({"instructions": "x" * 600})
    context.report(mark, 400)
    assert (context.tokens, context.prompt) == (600, 300)
    context.expect({"instructions": "x" * 300})
    context.report(context.mark(), 600)
    assert (context.tokens, context.prompt) == (600, 300)


def test_of_two_formats_the_dearer_one_counts() -> None:
    """Until the provider tells of the one that was asked for last."""
    pcm, g711 = (
        {"audio": {"input": {"format": {"type": kind}}}} for kind in ("audio/pcm", "audio/pcmu")
    )
    config = Config("gpt-realtime", 100)
    config.outgoing(g711)
    config.confirm(pcm)  # for an update before
    assert config.input_rate == 8_000
    config.confirm(g711)
    config.outgoing(pcm)
    assert config.input_rate == 8_000
    config.confirm(pcm)
    assert config.input_rate == 48_000
