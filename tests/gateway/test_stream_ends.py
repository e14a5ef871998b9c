"""The end of a stream: when all is here, whatever the connection does after that."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.gateway.asking import (
    LAST,
    PROTOCOLS,
    estimate,
    ledger,
    stream,
    streaming,
    turns,
    used,
    user_at,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
TOTAL = 25


def framed(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chunk(text: str, reason: Any = None, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return {"choices": [choice], **members}


def message(*, usage: bool = True) -> bytes:
    used = {"input_tokens": 20, "output_tokens": 1}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    return framed(
        {"type": "message_start", "message": {"content": [], "usage": used}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hi there"},
        },
        {"type": "content_block_stop", "index": 0},
        {**delta, "usage": {"output_tokens": 5}} if usage else delta,
    )


REPORT = {"choices": [], "usage": USAGE}
# All of an answer and its usage, but the end.
COMPLETE = {
    "usage after": ("openai", framed(chunk("Hi"), chunk("", "stop"), REPORT)),
    "usage beside": ("openai", framed(chunk("Hi"), chunk("", "stop", usage=USAGE))),
    "usage in x_groq": (
        "openai",
        framed(chunk("Hi"), chunk("", "stop", x_groq={"usage": USAGE})),
    ),
    "a message": ("anthropic", message()),
}


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def is_silent(connection: socket.socket) -> None:
    connection.recv(1)


def heartbeats(connection: socket.socket) -> None:
    connection.settimeout(0.1)
    while True:
        connection.sendall(b": hb\n\n")
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue


def fails(connection: socket.socket) -> None:
    connection.sendall(framed({"error": {"message": "too late"}}))


def is_cut_in_an_event(connection: socket.socket) -> None:
    connection.sendall(b'data: {"choic')


AFTERWARDS: list[Callable[[socket.socket], None]] = [
    *(resets, is_silent, heartbeats, fails, is_cut_in_an_event)
]
CHUNKED = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("afterwards", AFTERWARDS)
@pytest.mark.parametrize("name", COMPLETE)
def test_what_comes_after_all_of_it_changes_nothing(
    brief_client: httpx.Client, name: str, afterwards: Callable[[Any], None], asked: str
) -> None:
    spoken, text = COMPLETE[name]

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + text)
        if afterwards is resets:
            time.sleep(0.1)  # else what was sent is lost with the connection
        afterwards(connection)

    with RawProvider(answer) as provider:
        user = user_at(brief_client, provider.url, spoken)
        assert stream(user, "Hi", asked)[-1] == LAST[asked]
    assert used(user) == TOTAL
    assert "estimated" not in ledger(user)[0]["ref"]


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("name", COMPLETE)
def test_a_break_in_the_framing_after_all_of_it(
    client: httpx.Client, name: str, asked: str
) -> None:
    spoken, text = COMPLETE[name]
    body = b"%x\r\n%b\r\n" % (len(text), text)
    with RawProvider(sending(CHUNKED + body)) as provider:
        user = user_at(client, provider.url, spoken)
        assert stream(user, "Hi", asked)[-1] == LAST[asked]
    assert used(user) == TOTAL


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("afterwards", [is_silent, heartbeats])
@pytest.mark.parametrize("spoken", PROTOCOLS)
def test_usage_is_not_waited_for_for_ever(
    brief_client: httpx.Client, spoken: str, afterwards: Callable[[Any], None], asked: str
) -> None:
    begun = framed(chunk("Hi there"), chunk("", "stop"))
    text = begun if spoken == "openai" else message(usage=False)

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + text)
        afterwards(connection)

    with RawProvider(answer) as provider:
        user = user_at(brief_client, provider.url, spoken)
        assert stream(user, "Hi", asked)[-1] == LAST[asked]
    expected = estimate(turns("Hi")) if spoken == "openai" else 20
    assert used(user) == expected + 2
    assert ledger(user)[0]["ref"]["estimated"] is True


def test_a_reason_in_each_chunk_ends_nothing(brief_client: httpx.Client) -> None:
    def answer(connection: Any) -> None:
        connection.sendall(HEAD)
        for _ in range(12):
            connection.sendall(framed(chunk("word ", "stop")))
            time.sleep(0.1)
        connection.sendall(framed(REPORT) + b"data: [DONE]\n\n")

    with RawProvider(answer) as provider:
        user = user_at(brief_client, provider.url)
        assert len(stream(user, "Hi")) == 13
    assert used(user) == TOTAL


@pytest.mark.parametrize("done", ["[DONE] ", " [DONE]", '"[DONE]"', "[done]", "[DONE]\t"])
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_the_end_as_many_write_it(
    client: httpx.Client, double: Double, done: str, asked: str
) -> None:
    prompt = double.script("x", Answer(done=done))
    user = user_at(client, double.url)
    assert stream(user, prompt, asked)[-1] == LAST[asked]
    assert used(user) == TOTAL


@pytest.mark.parametrize("reason", [None, "", "null"])
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_end_without_a_reason_is_none(
    client: httpx.Client, reason: str | None, asked: str
) -> None:
    text = framed(chunk("Hi", reason), chunk("", reason)) + b"data: [DONE]\n\n"
    with RawProvider(sending(HEAD + text)) as provider:
        *_, last = stream(user_at(client, provider.url), "Hi", asked)
    assert "error" in json.loads(last)
    unfinished = message().partition(b'data: {"type": "message_delta"')[0]
    with RawProvider(sending(HEAD + unfinished + framed({"type": "message_stop"}))) as provider:
        *_, last = stream(user_at(client, provider.url, "anthropic"), "Hi", asked)
    assert "error" in json.loads(last)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ping"},
        {"type": "content_block_stop", "index": 7},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta"}},
        {"type": "of_tomorrow"},
    ],
)
def test_a_client_hears_of_events_that_have_nothing_for_it(
    client: httpx.Client, event: dict[str, Any]
) -> None:
    """Each is sent when the client has heard of what was before it."""
    heard = 0

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + message()[: message().index(b'data: {"type": "content_block_d')])
        for number in range(3):
            while heard <= number:
                time.sleep(0.01)
            connection.sendall(framed(event))
        connection.sendall(message()[message().index(b'data: {"type": "content_block_d') :])

    with RawProvider(answer) as provider:
        user = user_at(client, provider.url, "anthropic")
        with streaming(user, "Hi") as reply:
            for line in reply.iter_lines():
                heard += bool(line)
    assert heard > 3
    assert used(user) == TOTAL


def of_choice(index: int | None, text: str, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
    return {name: value for name, value in choice.items() if name != "index" or value is not None}


TWO: dict[str, tuple[list[list[dict[str, Any]]], bool]] = {
    "both": ([[of_choice(0, "a", "stop")], [of_choice(1, "b", "stop")]], True),
    "one of two": ([[of_choice(0, "a", "stop")]], True),
    "half of the second": ([[of_choice(0, "a", "stop")], [of_choice(1, "b")]], False),
    "half of the first": ([[of_choice(0, "a")], [of_choice(1, "b", "length")]], False),
    "without an index": ([[of_choice(None, "a", "stop"), of_choice(None, "b", "stop")]], True),
}


@pytest.mark.parametrize("name", TWO)
def test_the_end_of_several_choices(client: httpx.Client, name: str) -> None:
    chunks, is_whole = TWO[name]
    text = framed(*({"choices": choices} for choices in chunks), REPORT) + b"data: [DONE]\n\n"
    with RawProvider(sending(HEAD + text)) as provider:
        user = user_at(client, provider.url)
        *_, last = stream(user, "Hi", n=2)
    assert (last == "[DONE]") == is_whole
    assert used(user) == TOTAL


def test_choices_without_an_index_have_an_end(brief_client: httpx.Client) -> None:
    both = [of_choice(None, "a", "stop"), of_choice(None, "b", "stop")]

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + framed({"choices": both}, REPORT))
        is_silent(connection)

    with RawProvider(answer) as provider:
        user = user_at(brief_client, provider.url)
        assert stream(user, "Hi", n=2)[-1] == "[DONE]"
    assert used(user) == TOTAL
