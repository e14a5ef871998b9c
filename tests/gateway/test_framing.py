"""A provider's events however they are written, split and broken: byte by byte."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway.asking import (
    LAST,
    PROTOCOLS,
    ask,
    data_of,
    ledger,
    objects,
    stream,
    streaming,
    used,
    user_at,
)
from tests.gateway.raw_provider import HEAD, RawProvider, chunked, sending

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def chat_chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


EVENTS = [
    chat_chunk({"role": "assistant", "content": ""}),
    chat_chunk({"content": "Größe 🎉"}),
    chat_chunk({"content": "a\r\nb\n\nc"}),
    chat_chunk({}, "stop"),
    {**chat_chunk({}), "choices": [], "usage": USAGE},
]
DATA = [json.dumps(event, ensure_ascii=False).encode() for event in EVENTS] + [b"[DONE]"]


def framed(end: bytes, before: bytes = b"", colon: bytes = b": ") -> bytes:
    """All events, each line with that end, and each event with `before` before it."""
    return b"".join(before + b"data" + colon + data + end * 2 for data in DATA)


FRAMINGS = {
    "LF": framed(b"\n"),
    "CRLF": framed(b"\r\n"),
    "CR": framed(b"\r"),
    "no space": framed(b"\n", colon=b":"),
    "event and id": framed(b"\n", before=b"event: chunk\nid: 7\nretry: 100\n"),
    "a comment in each": framed(b"\n", before=b": ping\n"),
    "comments between": framed(b"\n", before=b": ping\n\n"),
    "empty lines": framed(b"\n", before=b"\n\n\n"),
    "no last line": framed(b"\n").rstrip(),
    "data on two lines": b"data: {\ndata: " + framed(b"\n").removeprefix(b"data: {"),
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("name", FRAMINGS)
def test_events_however_they_are_written_and_split(
    client: httpx.Client, name: str, size: int
) -> None:
    text = FRAMINGS[name]
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    with RawProvider(sending(HEAD, *pieces)) as provider:
        user = user_at(client, provider.url)
        data = stream(user, "Hi", stream_options={"include_usage": True})
    assert data[-1] == "[DONE]"
    assert objects(data) == EVENTS
    assert used(user) == 25


def test_a_byte_order_mark(client: httpx.Client) -> None:
    """Which may stand before an event stream, as its specification says."""
    with RawProvider(sending(HEAD, b"\xef\xbb\xbf" + framed(b"\n"))) as provider:
        user = user_at(client, provider.url)
        assert objects(stream(user, "Hi", stream_options={"include_usage": True})) == EVENTS


def test_comments_keep_a_connection_alive_at_once(client: httpx.Client) -> None:
    """As some providers send them while a model thinks."""

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + b": thinking\n\n")
        assert connection.recv(1) == b"", "the client has seen the comment, and left"

    with RawProvider(answer) as provider:
        user = user_at(client, provider.url)
        with streaming(user, "Hi") as reply:
            assert next(reply.iter_lines()).startswith(":")
    assert used(user) > 0


UNREADABLE = {
    "no JSON": b"data: {\n\n",
    "no object": b"data: 5\n\n",
    "no UTF-8": b'data: {"a": "\xff"}\n\n',
    "too large": b"data: " + b"x" * 5_000_000 + b"\n\n",
    "too large and never ending": b"data: " + b"x" * 20_000_000,
    "a giant event of many lines": b"data: x\n" * 700_000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_event_that_cannot_be_read(client: httpx.Client, name: str) -> None:
    before = framed(b"\n").partition(b"\n\n")[0] + b"\n\n"
    with RawProvider(sending(HEAD, before, UNREADABLE[name])) as provider:
        user = user_at(client, provider.url)
        *events, last = objects(stream(user, "Hi"))
    assert events == EVENTS[:1]
    assert last["error"]["code"] == "provider_error"
    assert "estimated" in ledger(user)[0]["ref"]
    with RawProvider(sending(HEAD, UNREADABLE[name])) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi", stream=True).status_code == 502
    assert used(user) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("event", ['{"type":null}', "{}", '{"choices":5}', '{"choices":[5,{}]}'])
def test_events_of_an_unknown_kind_do_no_harm(
    client: httpx.Client, protocol: str, event: str
) -> None:
    """Passed on where nothing is translated, left out where it is."""
    odd = b"data: " + event.encode() + b"\n\n"
    with RawProvider(sending(HEAD, odd, framed(b"\n"))) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", protocol, stream=True)
    data = list(data_of(reply.text.splitlines()))
    assert (reply.status_code, data[-1]) == (200, LAST[protocol])
    assert (event in data) == (protocol == "openai")
    assert (used(user), "estimated" in ledger(user)[0]["ref"]) == (25, False)


def test_a_reply_that_is_no_stream(client: httpx.Client) -> None:
    for kind in (b"application/json", b"text/html", b"text/event-streams"):
        head = b"Content-Type: " + kind + b"\r\n"
        with RawProvider(chunked([framed(b"\n")], head)) as provider:
            user = user_at(client, provider.url)
            assert ask(user, "Hi", stream=True).status_code == 502
            assert used(user) == 0
    for kind in (b"text/event-stream; charset=utf-8", b"Text/Event-Stream"):
        head = b"Content-Type: " + kind + b"\r\n"
        with RawProvider(chunked([framed(b"\n")], head)) as provider:
            assert ask(user_at(client, provider.url), "Hi", stream=True).status_code == 200


@pytest.mark.parametrize("body", [b"", b"\n\n", b": only a comment", b": a whole comment\n\n"])
def test_an_empty_stream(client: httpx.Client, body: bytes) -> None:
    pieces = [body] if body else []
    with RawProvider(chunked(pieces, b"Content-Type: text/event-stream\r\n")) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", stream=True)
    if body.endswith(b"comment\n\n"):
        # That had gone to the client when the stream ended.
        comment, last = reply.text.split("\n\n", 1)
        assert (reply.status_code, comment) == (200, ":")
        (error,) = objects(data_of(last.splitlines()))
    else:
        assert reply.status_code == 502
        error = reply.json()
    assert error["error"]["code"] == "provider_error"
    assert used(user) == 0
