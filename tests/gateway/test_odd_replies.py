"""Replies that providers should not give, but some do: what they mean, and what they cost."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.endpoints import PROVIDER_KEY, endpoint
from tests.gateway.asking import PROTOCOLS, ask, ledger, stream, streaming, used, user_at, user_of
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.processes import Server, eventually

SECRETS = f"Incorrect API key {PROVIDER_KEY} of org-AbCdEfGh12345678"
ERROR = json.dumps({"error": {"message": SECRETS, "type": "invalid_request_error"}}).encode()


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_error_with_status_200_is_no_answer(
    client: httpx.Client, gateway: Server, asked: str, spoken: str
) -> None:
    with RawProvider(whole(ERROR)) as provider:
        user = user_at(client, provider.url, spoken)
        reply = ask(user, "Hi", asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "provider_error")
    assert used(user) == 0
    for text in (reply.text, str(reply.headers), gateway.text()):
        assert PROVIDER_KEY not in text
        assert "org-AbCdEfGh12345678" not in text


BAD: dict[str, bytes] = {
    "an error": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ERROR), ERROR),
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Welcome</p>",
    "half an error": b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"error": {"mess',
    "blanks": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n\n\n \n",
}


@pytest.mark.parametrize("name", BAD)
def test_another_endpoint_answers_instead(client: httpx.Client, double: Double, name: str) -> None:
    with RawProvider(sending(BAD[name])) as provider:
        endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        assert ask(user, "Hi").status_code == 200
    (call,) = double.calls()
    assert used(user) == call.used
    assert ledger(user)[0]["ref"]["endpoint"] == "second"


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        ("400 Bad Request", 400, None),
        ("401 Unauthorized", 502, "provider_auth_error"),
        ("429 Too Many Requests", 429, "rate_limit_exceeded"),
    ],
)
@pytest.mark.parametrize("size", [70_000, 5])
def test_the_status_of_an_error_counts_also_without_its_body(
    client: httpx.Client, status: str, expected: int, code: str | None, size: int
) -> None:
    """Too large a body, or one that is cut."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: 70000\r\nRetry-After: 7\r\n\r\n"
    with RawProvider(sending(head.encode() + b"x" * size)) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, reply.json()["error"]["code"]) == (expected, code)
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize("end", [b"data: " + ERROR + b"\n\n", b""])
def test_comments_are_no_answer_that_costs(client: httpx.Client, end: bytes) -> None:
    with RawProvider(sending(HEAD + b": PROCESSING\n\n", end)) as provider:
        user = user_at(client, provider.url)
        events = stream(user, "Hi")
    assert "error" in json.loads(events[-1])
    assert used(user) == 0


DELTAS: dict[str, dict[str, Any]] = {
    "text": {"content": "x" * 10_000},
    "parts": {"content": [{"type": "text", "text": "x" * 10_000}]},
    "a custom tool": {"tool_calls": [{"index": 0, "custom": {"input": "x" * 10_000}}]},
    "speech": {"audio": {"id": "a", "transcript": "x" * 10_000, "data": "A" * 90_000}},
    "reasoning": {"reasoning_details": [{"type": "reasoning.text", "text": "x" * 10_000}]},
    "reasoning twice": {"reasoning": "x" * 10_000, "reasoning_details": [{"text": "x" * 10_000}]},
    "what is not known yet": {"hologram": [{"frames": "x" * 10_000}]},
}


def chunk_events(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def chunk_of(delta: dict[str, Any], **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": members.pop("finish_reason", None)}
    return {"choices": [choice], **members}


@pytest.mark.parametrize("name", DELTAS)
def test_whatever_is_streamed_is_counted(client: httpx.Client, name: str) -> None:
    """Of a stream that breaks off before any usage is reported."""
    with RawProvider(sending(HEAD + chunk_events(chunk_of(DELTAS[name])))) as provider:
        user = user_at(client, provider.url, max_output=50_000)
        assert "error" in json.loads(stream(user, "Hi")[-1]), "it broke off"
    assert 2_500 <= used(user) <= 2_540


USAGE = {"prompt_tokens": 5, "completion_tokens": 500, "total_tokens": 505}


@pytest.mark.parametrize(("size", "charged"), [(4_000, 505), (40_000, 10_005)])
def test_usage_before_the_finish_counts_unless_more_has_come(
    client: httpx.Client, size: int, charged: int
) -> None:
    events = chunk_events(
        chunk_of({"content": "x"}, usage=USAGE),
        chunk_of({"content": "x" * (size - 1)}),
        chunk_of({}, finish_reason="stop"),
    )
    with RawProvider(sending(HEAD + events + b"data: [DONE]\n\n")) as provider:
        user = user_at(client, provider.url, max_output=50_000)
        stream(user, "Hi")
    assert used(user) == charged
    assert ("estimated" in ledger(user)[0]["ref"]) == (charged != 505)


NO_ANSWER: dict[str, bytes] = {
    "an error": b"data: " + ERROR + b"\n\n",
    "usage, then an error": (
        chunk_events({"choices": [], "usage": USAGE}) + b"data: " + ERROR + b"\n\n"
    ),
    "an end": b"data: [DONE]\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_stream_without_an_answer_is_tried_elsewhere(
    client: httpx.Client, double: Double, name: str
) -> None:
    with RawProvider(sending(HEAD + NO_ANSWER[name])) as provider:
        endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        assert stream(user, "Hi")[-1] == "[DONE]"
        alone = user_at(client, provider.url)
        with streaming(alone, "Hi") as reply:
            assert reply.status_code == 502
    assert used(user) == double.calls()[0].used
    assert used(alone) == 0


def test_pings_are_no_answer_that_costs(client: httpx.Client) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    events = b'event: ping\ndata: {"type": "ping"}\n\nevent: error\ndata: %b\n\n'
    with RawProvider(sending(HEAD, events % json.dumps(error).encode())) as provider:
        user = user_at(client, provider.url, "anthropic")
        with streaming(user, "Hi", "anthropic") as reply:
            reply.read()
    assert used(user) == 0


def test_a_start_with_more_than_the_limit_is_no_reason_to_cut(client: httpx.Client) -> None:
    events = message_events({**STOP, "usage": {"output_tokens": 2}})
    events = events.replace(b'"output_tokens": 1', b'"output_tokens": 2').replace(
        b"x" * 10_000, b"x"
    )
    with RawProvider(sending(HEAD + events)) as provider:
        user = user_at(client, provider.url, "anthropic")
        assert "message_stop" in stream(user, "Hi", "anthropic", max_tokens=1)[-1]
    assert used(user) == 22


def message_events(*deltas: dict[str, Any]) -> bytes:
    """Of Anthropic, with 10,000 bytes of text; each delta a message_delta."""
    usage = {"input_tokens": 20, "output_tokens": 1}
    text = {"type": "text_delta", "text": "x" * 10_000}
    start = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        *({"type": "message_delta", "delta": {}, **delta} for delta in deltas),
        {"type": "message_stop"},
    ]
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


STOP = {"delta": {"stop_reason": "end_turn"}}


@pytest.mark.parametrize(
    ("deltas", "charged", "is_estimate"),
    [
        ([STOP], 2_520, True),
        ([STOP, {"usage": {"output_tokens": 2_222}}], 2_242, False),
        ([{**STOP, "usage": {"output_tokens": 2_222}}], 2_242, False),
    ],
    ids=["never", "after the stop", "with the stop"],
)
def test_what_a_message_started_with_is_not_all_its_usage(
    client: httpx.Client, deltas: list[dict[str, Any]], charged: int, is_estimate: bool
) -> None:
    with RawProvider(sending(HEAD + message_events(*deltas))) as provider:
        user = user_at(client, provider.url, "anthropic", max_output=50_000)
        stream(user, "Hi", "anthropic", max_tokens=50_000)
    assert used(user) == charged
    assert ledger(user)[0]["ref"].get("estimated", False) == is_estimate


def test_it_reads_on_until_all_usage_is_here(client: httpx.Client) -> None:
    events = message_events(STOP, {"usage": {"output_tokens": 2_222}})
    begin = events[: events.index(b"event: message_delta", events.index(b"end_turn"))]
    # The provider says the rest only when the client has gone.
    gone = False

    def answer(connection: Any) -> None:
        connection.sendall(HEAD + begin)
        eventually(lambda: gone)
        connection.sendall(events[len(begin) :])

    with RawProvider(answer) as provider:
        user = user_at(client, provider.url, "anthropic", max_output=50_000)
        with streaming(user, "Hi", "anthropic", max_tokens=50_000) as reply:
            assert any("end_turn" in line for line in reply.iter_lines())
        gone = True
        assert used(user) == 2_242


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("member", ["documents", "chat_template", "reasoning_effort"])
def test_members_that_we_do_not_know_may_be_part_of_the_prompt(
    client: httpx.Client, double: Double, protocol: str, member: str
) -> None:
    user = user_at(client, double.url, protocol, tokens=5_000)
    unknown: dict[str, Any] = {member: [{"text": "word " * 4_000}]}
    reply = ask(user, "Hi", protocol, **unknown)
    assert reply.status_code == 402
    assert double.calls() == []
    assert ask(user, "Hi", protocol, metadata={"user_id": "x" * 20_000}).status_code == 200


@pytest.mark.parametrize("piece", ["字" * 20, "x" * 20])
def test_a_provider_that_ignores_its_limit_is_cut_in_any_language(
    client: httpx.Client, double: Double, piece: str
) -> None:
    """At 12 bytes or 8 characters a token, which is more than any language has."""
    answer = Answer(pieces=[piece] * 10_000, ignore_limit=True)
    user = user_at(client, double.url)
    events = stream(user, double.script("x", answer), max_tokens=100)
    assert "error" in json.loads(events[-1])
    text = "".join(
        choice["delta"].get("content") or ""
        for event in events[:-1]
        for choice in json.loads(event)["choices"]
    )
    assert len(text) <= (404 if piece[0] == "字" else 808) + len(piece)


def test_no_line_of_a_stream_comes_of_an_events_kind(client: httpx.Client) -> None:
    odd = b'data: {"type": "a\\rdata: b"}\n\n'
    events = message_events({**STOP, "usage": {"output_tokens": 2_222}})
    start = events.index(b"event: content_block_start")
    with RawProvider(sending(HEAD + events[:start] + odd + events[start:])) as provider:
        user = user_at(client, provider.url, "anthropic", max_output=50_000)
        with streaming(user, "Hi", "anthropic", max_tokens=50_000) as reply:
            told = b"".join(reply.iter_raw())
    assert b"event: message\n" + odd in told
    assert b"\r" not in told
    assert used(user) == 2_242
