"""Replies that are too large, too deep or no replies at all: a refusal, never a fault of ours."""

import json
import select
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.acceptor import Acceptor
from tests.gateway.asking import PROTOCOLS, ask, estimate, turns, used, user_at
from tests.gateway.raw_provider import CLOSE, HEAD, Answer, RawProvider, chunked, sending, whole
from tests.processes import Server

MEBIBYTE = 1024 * 1024
GZIP = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
LARGEST_REPLY = 32 * MEBIBYTE
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
GROWTH = 5 * LARGEST_REPLY
"""Bytes: what comes, what is decompressed, and the parts and the whole of it."""


def compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def zeros(mebibytes: int) -> Iterator[bytes]:
    return (bytes(MEBIBYTE) for _ in range(mebibytes))


def spaces(size: int) -> bytes:
    """A reply of that size."""
    return b'{"usage":{"total_tokens":25}' + b" " * (size - 29) + b"}"


@pytest.fixture(autouse=True)
def nothing_goes_wrong(gateway: Server) -> Iterator[None]:
    """Memory stays bounded, no fault is logged, and the worker lives."""
    (pid,), logged, memory = gateway.worker_pids(), len(gateway.text()), gateway.resident()
    yield
    assert gateway.worker_pids() == [pid]
    assert "Traceback" not in gateway.text()[logged:]
    assert "[ERROR]" not in gateway.text()[logged:]
    assert gateway.resident() - memory < GROWTH


LENGTH = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999999999999\r\n\r\n"
)
OUTPUT = 100
"""The output limit, which is all that can be said of a reply that is not read."""
# What is answered, and what it costs beside the prompt; None: nothing, as it is no answer at all.
TOO_MUCH: dict[str, tuple[Callable[[], Answer], int | None]] = {
    "huge": (lambda: chunked(zeros(100)), None),
    "a little too large": (lambda: whole(spaces(LARGEST_REPLY + 1)), OUTPUT),
    "said to be huge": (lambda: sending(LENGTH + b"{}"), 1),
    "a gzip bomb": (lambda: chunked(compressed(zeros(300)), GZIP), None),
    "no gzip": (lambda: whole(b"no gzip", headers=b"Content-Encoding: gzip\r\n"), None),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_reply_that_cannot_be_taken(client: httpx.Client, name: str, protocol: str) -> None:
    answer, output = TOO_MUCH[name]
    with RawProvider(answer()) as provider:
        user = user_at(client, provider.url, protocol)
        reply = ask(user, "Hi", protocol, max_tokens=OUTPUT)
    cost = 0 if output is None else estimate(turns("Hi")) + output
    assert (reply.status_code, reply.headers["x-tokens-charged"]) == (502, str(cost))
    assert used(user) == cost


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_large_head_is_no_reply(client: httpx.Client, is_stream: bool) -> None:
    """It would be kept for as long as a stream lasts."""
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8_000) for number in range(100))
    with RawProvider(sending(HEAD[:-2] + CLOSE + lines + b"\r\n" + EVENT)) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi", stream=is_stream).status_code == 502
    assert used(user) == 0


class Early(Acceptor):
    """A provider that streams an answer, and takes but the beginning of the request."""

    def __init__(self) -> None:
        super().__init__()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def accepted(self, connection: socket.socket) -> None:
        threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(16)
            connection.sendall(HEAD + EVENT)
            ended = select.poll()
            ended.register(connection, select.POLLHUP)
            ended.poll(10_000)


def test_an_answer_before_the_request_was_taken_is_none(client: httpx.Client) -> None:
    """It would let the request wait in memory for as long as the stream lasts."""
    with Early() as provider:
        user = user_at(client, provider.url, tokens=10**9)
        reply = ask(user, "Hi", stream=True, metadata={"a": "x" * 9 * MEBIBYTE})
        assert reply.status_code == 502
    assert used(user) == 0


def test_a_gzip_bomb_of_an_error_and_of_a_stream(client: httpx.Client) -> None:
    bomb = b"".join(compressed(zeros(300)))
    with RawProvider(whole(bomb, "400 Bad Request", b"Content-Encoding: gzip\r\n")) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi").status_code == 400  # the status says enough
        assert used(user) == 0
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    with RawProvider(sending(head, bomb)) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi", stream=True).status_code == 502
        assert used(user) == 0


def test_a_compressed_reply_is_read(client: httpx.Client) -> None:
    """Asked for or not."""
    body = b"".join(compressed(iter([spaces(100)])))
    with RawProvider(whole(body, headers=b"Content-Encoding: gzip\r\n")) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, reply.content) == (200, spaces(100))
    assert "content-encoding" not in reply.headers


def test_the_largest_reply(client: httpx.Client) -> None:
    with RawProvider(whole(spaces(LARGEST_REPLY))) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, len(reply.content)) == (200, LARGEST_REPLY)
    assert reply.headers["x-tokens-charged"] == "25"


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def chat_of(**message: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    return json.dumps({"choices": [choice], "usage": usage})


def message_of(*blocks: str) -> str:
    usage = '{"input_tokens":20,"output_tokens":5}'
    start = '{"id":"m","type":"message","role":"assistant","model":"m","content":['
    return f'{start}{",".join(blocks)}],"stop_reason":"end_turn","usage":{usage}}}'


def tool_of(arguments: str) -> dict[str, Any]:
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}


MOST_LEVELS = 1024
"""More are not read at all."""
DEEP_REPLIES = {
    levels: {
        "openai": {
            "member": chat_of(content="Hi").replace('"Hi"', f'"Hi","x":{nested(levels)}'),
            "content": chat_of(content="Hi").replace('"Hi"', nested(levels)),
            "arguments": chat_of(content=None, tool_calls=[tool_of(nested(levels))]),
            "usage": chat_of(content="Hi").replace("25}", f'25,"x":{nested(levels)}}}'),
        },
        "anthropic": {
            "member": message_of(f'{{"type":"text","text":"Hi","x":{nested(levels)}}}'),
            "input": message_of(
                f'{{"type":"tool_use","id":"a","name":"f","input":{nested(levels)}}}'
            ),
            "text": message_of(f'{{"type":"text","text":{nested(levels)}}}'),
        },
    }
    for levels in (100, 300, 2000, 8000)
}


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("levels", DEEP_REPLIES)
def test_a_deep_reply(client: httpx.Client, levels: int, asked: str) -> None:
    """What can be read, and written again, is passed on and costs its usage."""
    for spoken, replies in DEEP_REPLIES[levels].items():
        for name, body in replies.items():
            with RawProvider(whole(body.encode())) as provider:
                user = user_at(client, provider.url, spoken)
                reply = ask(user, "Hi", asked)
            is_read = levels < MOST_LEVELS or name == "arguments"  # a text, however deep
            expected = (200, 25) if is_read else (502, 0)
            assert (reply.status_code, used(user)) == expected, (spoken, name)
            if is_read and asked == spoken:
                assert reply.text == body


ESTIMATE = estimate(turns("Hi"))
# By who asks and who answers: the status, what is charged beyond the prompt, and the end. The
# stream of OpenAI's ends well, the one of Anthropic's breaks off in its first block.
READ = {
    ("openai", "openai"): (200, 1, "[DONE]"),
    ("anthropic", "openai"): (200, 1, "message_stop"),
    ("openai", "anthropic"): (502, -ESTIMATE, "provider_error"),
    ("anthropic", "anthropic"): (200, 1, "provider_error"),
}
UNREAD = dict.fromkeys(READ, (502, -ESTIMATE, "provider_error")) | {
    # Its block had begun.
    ("anthropic", "anthropic"): (200, 0, "provider_error")
}


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("levels", [100, 300, 2000])
def test_a_deep_event(client: httpx.Client, levels: int, asked: str) -> None:
    delta = f'{{"content":"Hi","x":{nested(levels)}}}'
    chunk = f'{{"choices":[{{"index":0,"delta":{delta},"finish_reason":"stop"}}]}}'
    start = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    delta = (
        f'{{"type":"content_block_delta","index":0,"x":{nested(levels)},"delta":{{"text":"a"}}}}'
    )
    for spoken, data in (("openai", [chunk, "[DONE]"]), ("anthropic", [start, delta])):
        text = "".join(f"data: {each}\n\n" for each in data).encode()
        with RawProvider(sending(HEAD, text)) as provider:
            user = user_at(client, provider.url, spoken)
            reply = ask(user, "Hi", asked, stream=True)
        expected = READ if levels < MOST_LEVELS else UNREAD
        status, output, end = expected[asked, spoken]
        assert (reply.status_code, used(user)) == (status, ESTIMATE + output)
        assert end in reply.text[-130:]


NO_REPLIES = [
    *("", "null", "5", "[]", '"text"', "{", "<html>", "\ufeff{}"),
    '{"error":{"message":5}}',
]
ODD_REPLIES = [
    '{"choices":5}',
    '{"choices":[5]}',
    '{"choices":[{"message":5}]}',
    '{"choices":[{"message":{"content":{"a":1}}}]}',
    '{"choices":[{"message":{"tool_calls":[{"function":5}]}}]}',
    '{"choices":[{"message":{"tool_calls":[{"function":{"arguments":5}}]}}]}',
    '{"choices":[],"usage":5}',
    '{"content":5}',
    '{"content":[5,{"type":5},{"type":"text","text":5},{"type":"tool_use","input":5}]}',
    '{"content":[{"type":"thinking"}],"stop_reason":5,"usage":[]}',
]
CHARGED = {ESTIMATE, ESTIMATE + 1}
"""For an answer without usage: there may be a little that can be counted in it."""


@pytest.mark.parametrize("body", NO_REPLIES + ODD_REPLIES)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_odd_reply(client: httpx.Client, body: str, asked: str) -> None:
    """An object is an answer, unless it tells of an error."""
    charged = {0} if body in NO_REPLIES else CHARGED
    answers = {
        "200 OK": (502 if body in NO_REPLIES else 200, charged),
        "400 Bad Request": (400, {0}),
        "999 Odd": (502, {0}),
    }
    for spoken in PROTOCOLS:
        for status, (expected, costs) in answers.items():
            with RawProvider(whole(body.encode(), status)) as provider:
                user = user_at(client, provider.url, spoken)
                reply = ask(user, "Hi", asked)
            assert reply.status_code == expected, (spoken, status)
            assert used(user) in costs


@pytest.mark.parametrize("body", NO_REPLIES + ODD_REPLIES)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_an_odd_stream(client: httpx.Client, body: str, asked: str) -> None:
    """It is one event, and so not to its end: a refusal, or an error when some of it is sent."""
    for spoken in PROTOCOLS:
        with RawProvider(sending(HEAD, f"data: {body}\n\n".encode())) as provider:
            user = user_at(client, provider.url, spoken)
            reply = ask(user, "Hi", asked, stream=True)
        assert "provider_error" in reply.text[-130:]
        if body in NO_REPLIES:
            # An event without data is passed on as a comment.
            assert (reply.status_code, used(user)) == (502 if body else 200, 0)
        else:
            assert used(user) in {200: CHARGED, 502: {0}}[reply.status_code]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_head_that_is_none(client: httpx.Client, head: bytes) -> None:
    for streamed in (False, True):
        with RawProvider(sending(head)) as provider:
            user = user_at(client, provider.url)
            reply = ask(user, "Hi", stream=streamed)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "provider_error")
        assert used(user) == 0
