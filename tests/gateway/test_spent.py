"""What a streamed call has cost, and what is left: with the end, as the head was too early."""

import json
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import PROTOCOLS, TOKENS, ask, stream, streaming, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending
from tests.processes import Server

WITH_MEMBER = [("openai", "openai"), ("openai", "anthropic"), ("anthropic", "openai")]
WITH_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


def spent(user: User) -> dict[str, int]:
    balance = user.balance()
    return {"tokensCharged": balance["tokensUsed"], "tokensLeft": balance["tokensLeft"]}


def members(data: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Our own of each event that has one, with the event's number from the end."""
    events = [json.loads(text) if text != "[DONE]" else {} for text in data]
    return [(n - len(data), one["vibe"]) for n, one in enumerate(events) if "vibe" in one]


def comments(user: User, prompt: str, protocol: str = "openai", **asked: Any) -> list[Any]:
    with streaming(user, prompt, protocol, **asked) as reply:
        lines = [line[2:] for line in reply.iter_lines() if line.startswith(": ")]
    return [json.loads(line)["vibe"] for line in lines]


@pytest.mark.parametrize(("asked", "spoken"), WITH_MEMBER)
@pytest.mark.parametrize("weight", [1, 3])
def test_it_is_a_member_of_the_event_with_the_usage(
    client: httpx.Client, double: Double, asked: str, spoken: str, weight: int
) -> None:
    user = user_at(client, double.url, spoken, weight=weight)
    found = stream(user, "Hi", asked, **(WITH_USAGE if asked == "openai" else {}))
    assert members(found) == [(-2, spent(user))]
    assert spent(user) == {"tokensCharged": 25 * weight, "tokensLeft": TOKENS - 25 * weight}
    event = json.loads(found[-2])
    assert event["usage"]
    assert event["choices"] == [] if asked == "openai" else event["type"] == "message_delta"


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_it_is_a_comment_where_no_usage_was_asked_for(
    client: httpx.Client, double: Double, spoken: str, options: dict[str, Any]
) -> None:
    user = user_at(client, double.url, spoken)
    assert comments(user, "Hi", **options) == [spent(user)]
    assert members(stream(user, "Hi", **options)) == []


def test_it_is_a_comment_where_events_pass_as_they_are(
    client: httpx.Client, double: Double
) -> None:
    """Anthropic's usage comes with the stop reason, which does not wait for the end."""
    user = user_at(client, double.url, "anthropic")
    assert comments(user, "Hi", "anthropic") == [spent(user)]
    assert members(stream(user, "Hi", "anthropic")) == []


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("openai", Answer(usage="absent")),
        ("openai", Answer(usage="with_choices")),
        ("openai", Answer(error_at=3)),
        ("openai", Answer(cut_at=4)),
        ("anthropic", Answer(usage="absent", without_done=True)),
        ("anthropic", Answer(error_at=3)),
        ("anthropic", Answer(cut_at=2)),
    ],
)
def test_it_is_told_however_the_stream_ends(
    client: httpx.Client, double: Double, protocol: str, answer: Answer
) -> None:
    user = user_at(client, double.url, protocol)
    prompt = double.script("x", answer)
    asked = WITH_USAGE if protocol == "openai" else {}
    with streaming(user, prompt, protocol, **asked) as reply:
        text = reply.read().decode()
    assert text.count('"vibe"') == 1
    found = json.loads("{" + text[text.index('"vibe"') :].split("}")[0] + "}}")
    assert found["vibe"] == spent(user)
    assert found["vibe"]["tokensCharged"] > 0


ODD = [
    # What comes after the usage stays after it.
    [b'{"choices":[],"usage":{"total_tokens":5}}', b'{"choices":[],"x":1}'],
    [b'{"choices":[],"usage":{"total_tokens":3}}', b'{"choices":[],"usage":{"total_tokens":5}}'],
    [b'{"choices":[],"usage":{"total_tokens":5}}  '],
]


@pytest.mark.parametrize("last", ODD)
def test_the_order_of_events_stays(client: httpx.Client, last: list[bytes]) -> None:
    finish = b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}'
    data = [finish, *last, b"[DONE]"]
    with RawProvider(sending(HEAD, *(b"data: %b\n\n" % each for each in data))) as provider:
        user = user_at(client, provider.url)
        found = stream(user, "Hi", **WITH_USAGE)
    plain = [json.loads(text) for text in found[:-1]]
    assert [{k: v for k, v in one.items() if k != "vibe"} for one in plain] == [
        json.loads(each) for each in data[:-1]
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_of_a_stream_tells_what_is_left(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url)
    reply = ask(user, double.script("x", Answer(status=500)), protocol, stream=True)
    assert reply.status_code == 502
    assert reply.headers["x-tokens-left"] == str(TOKENS)
    assert reply.headers["x-tokens-charged"] == "0"


def test_the_sdks_give_it_to_an_app(gateway: Server, client: httpx.Client) -> None:
    with Double() as double:
        user = user_at(client, double.url)
        base = f"{gateway.url}/{user.api.tenant_id}"
        of_openai = openai.OpenAI(base_url=f"{base}/v1", api_key=user.api_key)
        of_anthropic = anthropic.Anthropic(base_url=base, api_key=user.api_key)
        turns: list[Any] = [{"role": "user", "content": "Hi"}]
        chat = of_openai.chat.completions
        *_, last = chat.create(
            model="openai-model",
            messages=turns,
            stream=True,
            stream_options={"include_usage": True},
        )
        assert last.model_extra == {"vibe": spent(user)}
        for _ in chat.create(model="openai-model", messages=turns, stream=True):
            pass
        with of_anthropic.messages.stream(
            model="openai-model", max_tokens=50, messages=turns
        ) as events:
            found = [event for event in events if event.type == "message_delta"]
            assert events.get_final_message().stop_reason == "end_turn"
        left = spent(user)["tokensLeft"]
        told = {"tokensCharged": 25, "tokensLeft": left}
        assert [event.model_extra for event in found] == [{"vibe": told}]
