"""The end of a stream: when all is here, whatever the connection does after that."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.doubles.quirks import finish
from tests.gateway.asking import (
    LAST,
    PROTOCOLS,
    ask,
    data_of,
    estimate,
    ledger,
    objects,
    stream,
    streaming,
    turns,
    used,
    user_at,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending
from tests.hurried import Hurried
from tests.processes import Valkey

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
TOTAL = 25
SECONDS = {"last_usage": 0.6, "leave": 0.3, "idle": 20}


@pytest.fixture(scope="module")
def brief(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurried]:
    """Waits for the end of a stream no longer than a moment."""
    output = tmp_path_factory.mktemp("brief") / "out"
    with Hurried(Path(output), valkey.url, SECONDS) as server:
        yield server


@pytest.fixture
def brief_client(brief: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=brief.url, timeout=15, verify=False) as client:
        yield client


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


# Of what is said, what the other side's clients get.
OF_COMPLETIONS = {
    **dict.fromkeys(("stop", "STOP", "eos", "COMPLETE", "end_turn"), "end_turn"),
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "model_length"), "max_tokens"),
    **dict.fromkeys(("content_filter", "SAFETY", "RECITATION", "sensitive"), "refusal"),
    **dict.fromkeys(("of_tomorrow", "OTHER", "weird"), "max_tokens"),
}
OF_MESSAGES = {
    **dict.fromkeys(("end_turn", "stop_sequence", "stop"), "stop"),
    **dict.fromkeys(("max_tokens", "pause_turn", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("refusal", "content_filtered", "guardrail_intervened"), "content_filter"),
    "of_tomorrow": "length",
}
FAILED = ["error", "insufficient_system_resource", "ERROR", "abort", "MALFORMED_FUNCTION_CALL"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", OF_COMPLETIONS)
def test_reasons_of_completions(
    client: httpx.Client, double: Double, reason: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    reply = ask(user_at(client, double.url), prompt, "anthropic", stream=streamed)
    assert reason_of(reply, streamed) == OF_COMPLETIONS[reason]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", OF_MESSAGES)
def test_reasons_of_messages(
    client: httpx.Client, double: Double, reason: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    reply = ask(user_at(client, double.url, "anthropic"), prompt, stream=streamed)
    assert reason_of(reply, streamed) == OF_MESSAGES[reason]


def reason_of(reply: httpx.Response, streamed: bool) -> str:
    assert reply.status_code == 200
    events = objects(data_of(reply.text.splitlines())) if streamed else [reply.json()]
    holders = [holder for each in events for holder in (each, *each.get("choices", []))]
    holders += [each.get("delta") or {} for each in events]
    found = [holder.get("stop_reason") or holder.get("finish_reason") for holder in holders]
    (reason,) = filter(None, found)
    return str(reason)


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("reason", FAILED)
def test_a_reason_that_is_a_failure(
    client: httpx.Client, double: Double, reason: str, spoken: str
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    for asked in PROTOCOLS:
        user = user_at(client, double.url, spoken)
        reply = ask(user, prompt, asked)
        assert (reply.status_code, used(user)) == (502, 0)
        *_, last = stream(user, prompt, asked)
        assert "error" in json.loads(last)
        assert used(user) > 0


STOPS: dict[str, tuple[dict[str, Any], str | None]] = {
    "vLLM": ({"stop_reason": "###"}, "###"),
    "SGLang": ({"matched_stop": "\n\n"}, "\n\n"),
    "a token": ({"matched_stop": 151645}, None),
    "a reason twice": ({"stop_reason": "stop"}, None),
    "nothing": ({"stop_reason": None}, None),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", STOPS)
def test_a_matched_stop_sequence(
    client: httpx.Client, double: Double, name: str, streamed: bool
) -> None:
    members, sequence = STOPS[name]

    def quirk(sent: dict[str, Any]) -> list[dict[str, Any]]:
        choices = [
            {**choice, **(members if choice["finish_reason"] else {})} for choice in sent["choices"]
        ]
        return [{**sent, "choices": choices}]

    prompt = double.script("x", Answer(quirks=(quirk,)))
    reply = ask(user_at(client, double.url), prompt, "anthropic", stream=streamed)
    end = objects(data_of(reply.text.splitlines()))[-2]["delta"] if streamed else reply.json()
    reason = "end_turn" if sequence is None else "stop_sequence"
    assert (end["stop_reason"], end["stop_sequence"]) == (reason, sequence)


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
