"""Replies of many values or bytes, whole and streamed: what a worker builds of them is bounded, and
they cost what is known of them."""

import json
import socket
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.doubles import Double
from tests.endpoints import endpoint
from tests.gateway.asking import (
    PROTOCOLS,
    ask,
    data_of,
    estimate,
    ledger,
    stream,
    streaming,
    turns,
    used,
    user_at,
    user_of,
)
from tests.gateway.raw_provider import HEAD, RawProvider, chunked, sending, whole
from tests.processes import Server

MEBIBYTE = 1024 * 1024
LARGEST_REPLY = 32 * MEBIBYTE
OF_A_TENANT, OF_A_USER = 48 * MEBIBYTE, 24 * MEBIBYTE
"""Of replies at a time; all together have 96 MiB."""
GROWTH = 3 * LARGEST_REPLY
"""Bytes: what is decompressed, and once more as it is passed on."""
PROMPT = estimate(turns("Hi"))
OUTPUT = 100
GZIP = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
USAGE = b'"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"input_tokens":20,'
USAGE += b'"output_tokens":5}'


@pytest.fixture(autouse=True)
def memory_is_bounded(gateway: Server) -> Iterator[None]:
    (pid,), memory = gateway.worker_pids(), gateway.resident()
    yield
    assert gateway.worker_pids() == [pid]
    assert gateway.resident() - memory < GROWTH


def packed(text: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(text) + packer.flush()


def filled(piece: bytes, size: int = LARGEST_REPLY, end: bytes = b"") -> bytes:
    """An object of at most that size, most of it an array of such pieces."""
    count = (size - len(end) - 100) // (len(piece) + 1)
    return b'{"id":"a","choices":[' + (piece + b",") * count + piece + b"]" + end + b"}"


OF_MANY_VALUES = {
    "arrays": filled(b"[]"),
    "objects": filled(b"{}"),
    "members": filled(b'{"a":1}'),
    "numbers": filled(b"1"),
    "names": filled(b'"usage"'),
    "levels": b'{"choices":' * MEBIBYTE + b"1" + b"}" * MEBIBYTE,
    "a few more than are parsed": filled(b"[]", 160_000),
}


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("name", OF_MANY_VALUES)
def test_many_values_are_passed_on_unread_or_not_translated(
    client: httpx.Client, double: Double, name: str, spoken: str, asked: str
) -> None:
    """No other endpoint is asked; nothing is known of the output but its limit, and its size."""
    body = OF_MANY_VALUES[name]
    with RawProvider(whole(packed(body), headers=GZIP)) as provider:
        endpoints = {"first": endpoint(provider.url, spoken), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        reply = ask(user, "Hi", asked, max_tokens=OUTPUT)
    assert reply.headers["x-tokens-charged"] == str(PROMPT + OUTPUT)
    assert used(user) == PROMPT + OUTPUT
    assert ledger(user)[0]["ref"]["estimated"] is True
    if asked == spoken:
        assert (reply.status_code, reply.content) == (200, body)
    else:
        assert reply.status_code == 502
        assert reply.json()["error"]["message"] == "The provider's reply is too large"
        assert reply.headers["x-should-retry"] == "false"
    assert double.calls() == []


def test_many_values_may_be_no_answer(client: httpx.Client, double: Double) -> None:
    for body in (
        b"[" + b"[]," * MEBIBYTE + b"1]",
        b"<p>" + b"[]," * MEBIBYTE,
        b"{" + b"[]," * 99_999,
    ):
        with RawProvider(whole(body)) as provider:
            endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
            user = user_of(client, endpoints, fallback=["second"])
            assert ask(user, "Hi").status_code == 200
        assert used(user) == double.calls()[-1].used


def logprobs(tokens: int) -> bytes:
    """A completion as OpenAI gives it with 20 alternatives of each token."""
    one = {"token": "time", "logprob": -12.345678, "bytes": [116, 105, 109, 101]}
    token = json.dumps({**one, "top_logprobs": [one] * 20})
    message = {"role": "assistant", "content": "time" * tokens}
    head = f'{{"choices":[{{"index":0,"message":{json.dumps(message)},"logprobs":{{"content":['
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    text = head + ",".join([token] * tokens) + f']}}}}],"usage":{json.dumps(usage)}}}'
    return text.encode()


@pytest.mark.parametrize("tokens", [10, 4_000])
def test_a_large_reply_costs_the_usage_that_it_reports(client: httpx.Client, tokens: int) -> None:
    body = logprobs(tokens)
    with RawProvider(whole(body)) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", logprobs=True, top_logprobs=20)
    assert (reply.status_code, reply.content == body) == (200, True)
    assert reply.headers["x-tokens-charged"] == str(20 + tokens)
    assert "estimated" not in ledger(user)[0]["ref"]


def tool_use(usage: str, size: int) -> str:
    """A block of a message whose input has a member that is called `usage`."""
    return (
        f'{{"type":"tool_use","id":"a","name":"f","input":{{"a":"{"x" * size}","usage":{usage}}}}}'
    )


@pytest.mark.parametrize("size", [10, 5 * MEBIBYTE])
def test_what_a_tool_is_called_with_is_no_report(client: httpx.Client, size: int) -> None:
    inner = tool_use('{"input_tokens":1,"output_tokens":1}', size).encode()
    for body in (b'{"content":[%b],%b}', b'{"content":[%b],%b,"more":[%b]}'):
        parts = (inner, USAGE, inner)[: body.count(b"%b")]
        with RawProvider(whole(body % parts)) as provider:
            user = user_at(client, provider.url, "anthropic")
            assert ask(user, "Hi", "anthropic").headers["x-tokens-charged"] == "25"


# Each is more than what is true, and with these weights cheaper.
DEAR = {"name": "anthropic-model", "output_weight": 10, "cached_weight": 0.001}
CHEAPER = [
    '{"input_tokens":0,"cache_read_input_tokens":90,"output_tokens":1}',
    '{"input_tokens":90,"output_tokens":0}',
    f'{{"input_tokens":{10**13},"output_tokens":{10**13}}}',
    f'{{"prompt_tokens":{10**13},"total_tokens":{10**13}}}',
]


@pytest.mark.parametrize("fake", CHEAPER)
@pytest.mark.parametrize("size", [10, 5 * MEBIBYTE])
def test_nor_is_it_where_it_would_be_cheaper(client: httpx.Client, size: int, fake: str) -> None:
    inner = tool_use(fake, size).encode()
    for body in (b'{"content":[%b],%b}' % (inner, USAGE), b'{%b,"content":[%b]}' % (USAGE, inner)):
        with RawProvider(whole(body)) as provider:
            user = user_at(client, provider.url, "anthropic", models=[DEAR])
            assert ask(user, "Hi", "anthropic").status_code == 200
        assert used(user) >= 20 + 5 * 10


BEGUN = b'{"id":"a","content":[{"type":"text","text":"' + b"time " * 8
HALF = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + BEGUN
READ = -(-len(BEGUN) // 4)
"""Tokens that this much of a reply may have been."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reply_that_breaks_off_is_charged_and_the_last(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    with RawProvider(sending(HALF)) as provider:
        endpoints = {"first": endpoint(provider.url, protocol), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        reply = ask(user, "Hi", protocol)
    assert (reply.status_code, double.calls()) == (502, [])
    assert reply.json()["error"]["code"] == "provider_error"
    assert reply.headers["x-tokens-charged"] == str(PROMPT + READ) == str(used(user))
    assert reply.headers["x-should-retry"] == "false"


def test_a_reply_that_stalls_is_charged_and_the_last(
    hasty_client: httpx.Client, double: Double
) -> None:
    silent = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(HALF)
        silent.wait(20)

    with RawProvider(answer) as provider:
        endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
        user = user_of(hasty_client, endpoints, fallback=["second"])
        reply = ask(user, "Hi")
        silent.set()
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "provider_timeout")
    assert (used(user), double.calls()) == (PROMPT + READ, [])


def test_a_broken_reply_costs_the_whole_hold_where_it_may_have_reasoned(
    client: httpx.Client,
) -> None:
    with RawProvider(sending(HALF)) as provider:
        user = user_at(client, provider.url, reasoning=True)
        assert ask(user, "Hi", max_tokens=OUTPUT).status_code == 502
    assert used(user) == PROMPT + OUTPUT


FITTING: dict[str, Any] = {"logprobs": True, "top_logprobs": 20, "max_tokens": 13_000}
TOO_MANY: list[dict[str, Any]] = [
    {**FITTING, "max_tokens": 14_000},
    {**FITTING, "n": 2},
    {**FITTING, "max_tokens": None, "max_completion_tokens": 10**12},
    {**FITTING, "top_logprobs": 10**6},
    {"logprobs": True, "max_tokens": 10**6},
]


def test_logprobs_that_cannot_fit_are_refused(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    for members in TOO_MANY:
        reply = ask(user, "Hi", **members)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "top_logprobs")
    assert (double.calls(), used(user)) == ([], 0)
    assert ask(user, "Hi", **FITTING).status_code == 200
    assert stream(user, "Hi", **TOO_MANY[0])[-1] == "[DONE]"


class Held:
    """A provider whose reply of that size stays a byte short until it is let go."""

    def __init__(self, size: int) -> None:
        self.is_sent, self.go_on = threading.Event(), threading.Event()
        self._body = filled(b'"' + b"x" * 10_000 + b'"', size, b"," + USAGE)

    def __call__(self, connection: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + self._body[:-1])
        self.is_sent.set()
        self.go_on.wait(20)
        connection.sendall(self._body[-1:])


def test_one_tenants_replies_leave_room_for_those_of_others(
    client: httpx.Client,
) -> None:
    body = filled(b'"x"', LARGEST_REPLY, b"," + USAGE)
    held = Held(OF_A_TENANT * 5 // 8)
    replies: list[httpx.Response] = []
    with RawProvider(held) as slow, RawProvider(whole(body)) as quick:
        endpoints = {"slow": endpoint(slow.url), "quick": endpoint(quick.url)}
        user = user_of(client, endpoints)
        caller = threading.Thread(target=lambda: replies.append(ask(user, "Hi")))
        caller.start()
        assert held.is_sent.wait(20)  # and read, but for what sockets keep
        reply = ask(user, "Hi", model="quick/", max_tokens=OUTPUT)
        assert (reply.status_code, reply.headers["x-tokens-charged"]) == (502, str(PROMPT + OUTPUT))
        other = user_at(client, quick.url)
        assert ask(other, "Hi").headers["x-tokens-charged"] == "25"
        held.go_on.set()
        caller.join()
        assert replies[0].headers["x-tokens-charged"] == "25"
        reply = ask(user, "Hi", model="quick/")
        assert reply.headers["x-tokens-charged"] == "25"


def test_one_users_replies_leave_room_for_those_of_others_of_the_tenant(
    client: httpx.Client,
) -> None:
    body = filled(b'"x"', OF_A_USER * 3 // 4, b"," + USAGE)
    held = Held(OF_A_USER - MEBIBYTE)
    with RawProvider(held) as slow, RawProvider(whole(body)) as quick:
        user = user_of(client, {"slow": endpoint(slow.url), "quick": endpoint(quick.url)})
        other = user.api.login()
        caller = threading.Thread(target=lambda: ask(user, "Hi"))
        caller.start()
        assert held.is_sent.wait(20)
        assert ask(user, "Hi", model="quick/").status_code == 502
        assert ask(other, "Hi", model="quick/").status_code == 200
        held.go_on.set()
        caller.join()
        assert ask(user, "Hi", model="quick/").status_code == 200


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def chunk_of(text: str, **members: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event(json.dumps({"choices": [choice], **members}).encode())


EVENTS = {
    "100,000 arrays": event(filled(b"[]", 300_000)),
    "20,000 members": event(filled(b'{"a":1}', 160_000)),
    "5 MiB": event(filled(b'"' + b"x" * 1000 + b'"', 5 * MEBIBYTE)),
    "no end": b'data: {"a": "' + b"x" * (5 * MEBIBYTE),
    "no end, compressed": b'event: a\ndata: {"a": "' + b"x" * (20 * MEBIBYTE),
}


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_that_is_too_large_ends_the_stream(
    client: httpx.Client, double: Double, name: str, begun: bool, asked: str
) -> None:
    """As a provider that fails in mid-stream, even if it is the first event."""
    text, head = chunk_of("time") * begun + EVENTS[name], HEAD
    if "compressed" in name:
        head, text = head.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), packed(text)
    with RawProvider(sending(head, text)) as provider:
        endpoints = {"first": endpoint(provider.url), "second": endpoint(double.url)}
        user = user_of(client, endpoints, fallback=["second"])
        reply = ask(user, "Hi", asked, stream=True)
    assert (reply.status_code, double.calls()) == (200 if begun else 502, [])
    assert "provider_error" in reply.text[-130:]
    assert used(user) == PROMPT + begun


def test_very_many_events_at_once(client: httpx.Client) -> None:
    events = b"".join(chunk_of(f"{number} ") for number in range(3_000))
    comments = b":\n\n" * 100_000
    end = b'{"choices":[{"index":0,"delta":{"content":"end"},"finish_reason":"stop"}]}'
    with RawProvider(sending(HEAD, events + comments + event(end) + event(b"[DONE]"))) as one:
        user = user_at(client, one.url, max_output=50_000)
        with streaming(user, "Hi") as reply:
            found = [json.loads(data) for data in data_of(reply.iter_lines()) if data[0] == "{"]
    texts = [each["choices"][0]["delta"]["content"] for each in found]
    assert texts == [*(f"{number} " for number in range(3_000)), "end"]


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("piece", [b":\n\n", b"\n\n", b'data: {"type":"ping"}\n\n', chunk_of("")])
def test_a_stream_of_nothing_has_an_end(client: httpx.Client, piece: bytes, asked: str) -> None:
    """Which is no answer that costs, unless it says that it is one."""
    pieces = iter([piece * (MEBIBYTE // len(piece))] * 6)
    with RawProvider(chunked(pieces, HEAD[17:-2])) as provider:
        user = user_at(client, provider.url)
        reply = ask(user, "Hi", asked, stream=True, max_tokens=1)
    assert "provider_error" in reply.text[-130:]
    assert used(user) == (PROMPT if b"choices" in piece else 0)


def call_of(index: int, arguments: str) -> bytes:
    function = {"name": "f", "arguments": arguments}
    delta = {"tool_calls": [{"index": index, "id": f"c{index}", "function": function}]}
    return event(json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode())


def event_of_end() -> bytes:
    return event(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}') + event(b"[DONE]")


REMEMBERED = {
    "calls": lambda number: call_of(number, "{"),
    "arguments": lambda number: call_of(min(number, 1), '{"a": "' + "x" * 1000),
}


@pytest.mark.parametrize("name", REMEMBERED)
def test_what_a_stream_makes_us_remember_is_bounded(client: httpx.Client, name: str) -> None:
    events = b"".join(REMEMBERED[name](number) for number in range(8_000))
    with RawProvider(sending(HEAD, events)) as provider:
        user = user_at(client, provider.url, tokens=10**8)
        reply = ask(user, "Hi", "anthropic", stream=True, max_tokens=10**7)
    assert "too large" in reply.text[-150:]


@pytest.mark.parametrize("text", ["[", "{}", r"\"\"", r"\"a\","])
def test_arguments_of_very_many_brackets_or_strings(client: httpx.Client, text: str) -> None:
    """They are passed on as long as they have no more strings than an event may have values."""
    arguments = text * (MEBIBYTE // len(text))
    event = call_of(0, "@").replace(b"@", arguments.encode())
    with RawProvider(sending(HEAD, event + event_of_end())) as provider:
        user = user_at(client, provider.url, tokens=10**8)
        reply = ask(user, "Hi", "anthropic", stream=True, max_tokens=10**6)
    assert ("too large" in reply.text[-150:]) == ('"' in text)


ENDLESS_HEADS = {
    "interim ones": b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000,
    "a status": b"HTTP/1.1 200 " + b"O" * MEBIBYTE,
    "a header": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * MEBIBYTE,
}


@pytest.mark.parametrize("name", ENDLESS_HEADS)
def test_a_head_without_an_end(client: httpx.Client, name: str) -> None:
    with RawProvider(sending(ENDLESS_HEADS[name])) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi").status_code == 502
    assert used(user) == 0


@pytest.mark.parametrize(
    "seconds", ["-1e999", "1e999", "nan", "0", "Mon, 1 Jan 0001 00:00:00 +1400"]
)
def test_any_time_to_retry_after(client: httpx.Client, seconds: str) -> None:
    header = f"Retry-After: {seconds}\r\n".encode()
    with RawProvider(whole(b"{}", "429 Too Many Requests", header)) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert reply.status_code == 429
    assert reply.headers.get("retry-after", "1") in {"1", "60"}
