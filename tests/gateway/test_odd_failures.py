"""What may be a failure or an answer: it is decided by what follows, and by what is missing."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.doubles import Double
from tests.endpoints import PROVIDER_KEY, endpoint
from tests.gateway.asking import (
    LAST,
    PROTOCOLS,
    ask,
    data_of,
    stream,
    streaming,
    used,
    user_at,
    user_of,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole

SECRETS = f"key {PROVIDER_KEY} of org-AbCdEfGh12345678"
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
DONE = b"data: [DONE]\n\n"


def framed(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chunk(text: str, reason: str | None = None, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return {"choices": [choice], **members}


UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    ("openai", {}),
    ("openai", {"type": "queued", "place": 3}),
    ("openai", {"choices": None, "id": "a"}),
    ("openai", {"x": "y" * 1_000}),
    ("anthropic", {"type": "of_tomorrow"}),
    ("anthropic", {"queue": {"place": 3}}),
    ("anthropic", chunk("Hi")),
]


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("end", [DONE, b"", framed({"error": {"message": "engine died"}})])
@pytest.mark.parametrize(("spoken", "event"), UNKNOWN)
def test_what_is_not_known_begins_no_answer(
    client: httpx.Client, double: Double, spoken: str, event: Any, end: bytes, asked: str
) -> None:
    text = HEAD + framed(event, event) + end
    with RawProvider(sending(text)) as provider:
        alone = user_at(client, provider.url, spoken)
        with streaming(alone, "Hi", asked) as reply:
            assert reply.status_code == 502
        endpoints = {"first": endpoint(provider.url, spoken), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        assert stream(user, "Hi", asked)[-1] == LAST[asked]
    assert (used(alone), used(user)) == (0, double.calls()[0].used)


def test_what_is_not_known_is_passed_on_with_the_answer(client: httpx.Client) -> None:
    events = [{"type": "queued", "place": 3}, {"type": "queued", "place": 2}, chunk("Hi", "stop")]
    text = framed(*events, {"choices": [], "usage": USAGE}) + DONE
    with RawProvider(sending(HEAD, text[:20], text[20:])) as provider:
        user = user_at(client, provider.url)
        data = stream(user, "Hi")
    assert [json.loads(each) for each in data[:3]] == events
    assert used(user) == 25


def test_much_that_is_not_known_does_not_wait(client: httpx.Client) -> None:
    text = framed(*[{"x": "y" * 10_000}] * 20, chunk("Hi", "stop", usage=USAGE)) + DONE
    with RawProvider(sending(HEAD + text)) as provider:
        user = user_at(client, provider.url)
        assert len(stream(user, "Hi")) == 22
    assert used(user) == 25


def test_signs_of_life_that_are_not_known_do_not_wait_long(brief_client: httpx.Client) -> None:
    """Each but the first is sent when the client has heard of what was before it, or of none."""
    heard = 0

    def answer(connection: Any) -> None:
        connection.sendall(HEAD)
        for number in range(200):
            connection.sendall(framed({"type": "queued", "place": number}))
            if heard:
                break
            time.sleep(0.05)
        connection.sendall(framed(chunk("Hi", "stop", usage=USAGE)) + DONE)

    with RawProvider(answer) as provider:
        user = user_at(brief_client, provider.url)
        with streaming(user, "Hi") as reply:
            for line in reply.iter_lines():
                heard += bool(line)
    assert heard < 200
    assert used(user) == 25


# What some servers have beside each answer.
HARMLESS: list[dict[str, Any]] = [
    *({"error": error} for error in (None, "", {}, {"message": "", "code": 0}, {"code": None})),
    {"code": 0, "message": "Success"},
    {"base_resp": {"status_code": 0, "status_msg": ""}},
]


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("members", HARMLESS)
def test_an_error_that_is_none(client: httpx.Client, members: dict[str, Any], asked: str) -> None:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reply = {"choices": [choice], "usage": USAGE, **members}
    with RawProvider(whole(json.dumps(reply).encode())) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi", asked).status_code == 200
    last = {"choices": [], "usage": USAGE, **({} if "message" in members else members)}
    text = framed(chunk("Hi", **members), chunk("", "stop", **members), last) + DONE
    with RawProvider(sending(HEAD + text)) as provider:
        streamed = user_at(client, provider.url)
        assert stream(streamed, "Hi", asked)[-1] == LAST[asked]
    assert (used(user), used(streamed)) == (25, 25)


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_a_failure_instead_of_a_stream(client: httpx.Client, asked: str) -> None:
    for failure, status, message in (
        ({"error": {"message": f"died, {SECRETS}"}}, 502, "died, key *** of ***"),
        ([{"detail": "died"}], 502, "died"),
        ({"code": 429, "message": "slow down"}, 429, "The provider's rate limit is reached"),
        ({"choices": [{"message": {"content": "an answer"}}]}, 502, "The provider failed"),
    ):
        with RawProvider(whole(json.dumps(failure).encode())) as provider:
            user = user_at(client, provider.url)
            with streaming(user, "Hi", asked) as reply:
                assert reply.status_code == status
                assert json.loads(reply.read())["error"]["message"].startswith(message)
        assert used(user) == 0


def test_a_media_type_that_a_proxy_has_doubled(client: httpx.Client) -> None:
    kind = b"text/event-stream"
    head = HEAD.replace(kind, kind + b", " + kind + b";charset=utf-8")
    text = framed(chunk("Hi", "stop", usage=USAGE)) + DONE
    with RawProvider(sending(head + text)) as provider:
        user = user_at(client, provider.url)
        assert stream(user, "Hi")[-1] == "[DONE]"
    assert used(user) == 25


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_what_is_not_understood_tells_no_secrets(client: httpx.Client, asked: str) -> None:
    odd = {"choices": [], "x_info": SECRETS}
    events = framed(odd, chunk("Hi", "stop"), {**odd, "usage": USAGE}) + DONE
    start = {"type": "message_start", "message": {}}
    tomorrow = framed(start, {"type": "of_tomorrow", "x_info": SECRETS})
    for spoken, text in (("openai", events), ("anthropic", tomorrow)):
        with RawProvider(sending(HEAD + text)) as provider:
            reply = ask(user_at(client, provider.url, spoken), "Hi", asked, stream=True)
        assert reply.status_code == 200
        assert list(data_of(reply.text.splitlines()))
        assert PROVIDER_KEY not in reply.text


@pytest.mark.parametrize("key", ['a"quoted"-0123', "back\\slash-0123"])
def test_what_is_not_understood_tells_no_key_that_json_escapes(
    client: httpx.Client, key: str
) -> None:
    odd = {"choices": [], "x_info": {"given": [f"the key {key}"]}}
    with RawProvider(sending(HEAD + framed(odd, chunk("Hi", "stop", usage=USAGE)) + DONE)) as raw:
        events = stream(user_at(client, raw.url, api_key=key), "Hi")
    assert events[-1] == "[DONE]"
    assert not any("x_info" in event for event in events)


def test_a_key_is_taken_out_where_a_long_text_is_cut(client: httpx.Client) -> None:
    """It has room among what is told, as what is before it is taken out, too."""
    key = "0123456789abcdef"
    said = {"error": {"message": f"sk-{'a' * 65_520} {key}"}}
    with RawProvider(whole(json.dumps(said).encode())) as provider:
        user = user_of(client, {"main": endpoint(provider.url, api_key=key)})
        assert ask(user, "Hi").json()["error"]["message"] == "*** ***"
