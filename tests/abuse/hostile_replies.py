"""Replies of one tenant's provider: they must not harm the users of another."""

import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, cycle, repeat

import orjson

from tests.abuse.attackers import MEBIBYTE, RICH, UNDER_WAY, Attack, Victim, at_once, status_of
from tests.abuse.heavy_requests import CHAT, MESSAGES, USERS, filled
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import turns
from tests.gateway.raw_provider import CLOSE, Answer, RawProvider, chunked, sending, whole
from tests.raw import connect

LARGEST = 32 * MEBIBYTE
RECEIVED = 64 * 1024
"""Bytes that wait for a client, so that what it does not read is soon the server's."""
JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n"


def packed(data: bytes, encoding: str) -> bytes:
    packer = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[encoding])
    return packer.compress(data) + packer.flush()


def endless(make: Callable[[], Iterable[bytes]], headers: bytes = EVENTS) -> Answer:
    """A reply in chunks, whose pieces are made anew for each connection."""
    return lambda connection: chunked(make(), headers)(connection)


def _reply(content: bytes, size: int = LARGEST) -> bytes:
    """A completion with `content` as often as fits into a member that nobody asked for."""
    before = (
        b'{"object":"chat.completion","usage":{"prompt_tokens":1,"completion_tokens":1,'
        b'"total_tokens":2},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
        b'"finish_reason":"stop"}],"x":['
    )
    return filled(before, content, b"]}", size)


def _event(content: bytes, size: int) -> bytes:
    before = b'data: {"object":"chat.completion.chunk","choices":[],"x":['
    return filled(before, content, b"]}\n\n", size)


def _gzipped(content: bytes, size: int = LARGEST) -> Answer:
    return whole(packed(_reply(content, size), "gzip"), headers=b"Content-Encoding: gzip\r\n")


def _twice_deflated() -> Answer:
    once = packed(_reply(b"[]"), "deflate")
    return whole(packed(once, "deflate"), headers=b"Content-Encoding: deflate, deflate\r\n")


def _many_members() -> Answer:
    member = packed(_reply(b"[]", 4 * MEBIBYTE), "gzip")
    return whole(member * 200, headers=b"Content-Encoding: gzip\r\n")


def _event_of_brackets() -> Answer:
    event = _event(b"[]", 900_000)
    return endless(lambda: [event] * 10)


def _zipped_events() -> Answer:
    event = b'data: {"object":"chat.completion.chunk","choices":[]}\n\n' * 1000

    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, wbits=31)
        yield packer.compress(event * 20)
        while True:
            if piece := packer.compress(event * 20) + packer.flush(zlib.Z_SYNC_FLUSH):
                yield piece

    return endless(pieces, EVENTS + b"Content-Encoding: gzip\r\n")


def _tiny_events() -> Answer:
    event = (
        b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":'
        b'{"content":"a"}}]}\n\n'
    )
    return endless(lambda: repeat(event * 500))


def _endless_tools() -> Answer:
    """Ever new calls of tools, each with some arguments."""

    def pieces() -> Iterator[bytes]:
        for number in range(10**9):
            yield (
                b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":'
                b'{"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":'
                b'{"name":"f","arguments":"%b"}}]}}]}\n\n' % (number, number, b"x" * 1000)
            )

    return endless(pieces)


def _arguments(text: bytes) -> Answer:
    """A tool's, of many brackets or strings in one event."""
    event = (
        b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":'
        b'[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"%b"}}]}}]}\n\n'
    ) % (text * (4_000_000 // len(text)))
    return chunked([event], EVENTS)


def _inputs() -> Answer:
    """Of many tools, whose values only count once they are looked into."""
    texts = (
        b'{"index":%d,"id":"a","function":{"name":"f","arguments":"[%b[]]"}}'
        % (number, b"[]," * 16_000)
        for number in range(80)
    )
    event = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}\n\n' % b",".join(texts)
    return chunked([event], EVENTS)


def _ids_of_calls() -> Answer:
    """With letters that have to be spelled otherwise."""
    calls = (b'{"id":"%d%b","name":"f"}' % (number, b".a" * 500) for number in range(3_900))
    event = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}\n\n' % b",".join(calls)
    return chunked([event], EVENTS)


def _long_kinds() -> Answer:
    """Of events that nobody knows, and that may be failures."""
    event = b'data: {"object":"%b"}\n\n' % (b"x" * 4_000_000)
    return endless(lambda: repeat(event))


def _names() -> Answer:
    """Of very many members in events that nobody knows, each as long as is looked through."""
    members = (b'"%06d%b":1' % (number, b"e" * 194) for number in range(9_900))
    event = b"data: {%b}\n\n" % b",".join(members)
    answer = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    return endless(lambda: chain([answer], repeat(event)))


def _words() -> Answer:
    """A failure, which may say what it is in any of very many objects."""
    letters = b"abcdefghijklmnopqrst"
    failure = b"{}"
    for _ in range(3):
        failure = b"{%b}" % b",".join(b'"%c":%b' % (name, failure) for name in letters)
    return chunked([b'data: {"error":%b}\n\n' % failure], EVENTS)


def _many_calls() -> Answer:
    event = filled(
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[',
        b'{"name":"a","arguments":"{}"}',
        b"]}}]}\n\n",
        110_000,
    )
    return chunked([event], EVENTS)


def _reasons() -> Answer:
    """Of ever more choices than were asked for, in words that nobody knows."""
    event = filled(
        b'data: {"choices":[', b'{"finish_reason":"%b"}' % (b"aA bB-" * 16), b"]}\n\n", 690_000
    )
    return endless(lambda: repeat(event))


def _usage_in_choices() -> Answer:
    event = filled(b'data: {"choices":[', b'{"index":0,"usage":{}}', b"]}\n\n", 60_000)
    return endless(lambda: repeat(event))


def _no_line_ends() -> Answer:
    return endless(lambda: repeat(b"data: " + b"x" * 65536))


def _only_comments() -> Answer:
    return endless(lambda: repeat(b":\n" * 32768))


def _chunks_of_a_byte() -> Answer:
    body = _reply(b"1", MEBIBYTE)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + CLOSE + JSON + b"\r\n"
    return sending(head + chunks + b"0\r\n\r\n")


def _informational() -> Answer:
    """Ever more of them before the reply."""

    def answer(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" * 500)

    return answer


def _long_head() -> Answer:
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8000) for number in range(1000))
    return whole(_reply(b"1", 1000), headers=lines)


def _error(body: Callable[[], bytes]) -> Answer:
    return whole(packed(body(), "gzip"), "400 Bad Request", b"Content-Encoding: gzip\r\n")


def _call(
    make: Callable[[], Answer],
    count: int,
    victim: Victim,
    *,
    stream: bool = False,
    path: str = CHAT,
    is_read: bool = True,
    limit: int = 100,
) -> None:
    """So many calls at a time of a provider that answers so; with `is_read` false, by clients that
    do not read what they get."""
    with RawProvider(make()) as provider:
        tenant_id = victim.put_tenant(text_config({"main": endpoint(provider.url)}, anonymous=RICH))
        asked = {"max_tokens": limit, "stream": stream, "messages": turns("Hi")}
        if stream and path == CHAT:
            asked["stream_options"] = {"include_usage": True}
        body = orjson.dumps(asked)
        keys = cycle([victim.log_in(tenant_id) for _ in range(USERS)])

        def ask() -> None:
            head = victim.head(f"/{tenant_id}{path}", next(keys), length=len(body))
            with connect(victim.url) as connection, suppress(OSError):
                connection.settimeout(60)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
                connection.sendall(head + body)
                victim.saw(UNDER_WAY)
                if is_read:
                    victim.saw(status_of(connection))
                else:
                    time.sleep(60)

        at_once(count, ask)


def _long_text() -> Answer:
    """Nearly as long as a reply may be."""
    return whole(_reply(b'"' + b"x" * 60_000 + b'"', LARGEST - 1000))


def _large_end() -> Answer:
    """In the event with the usage, which waits for the end."""
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    usage = _event(b'"' + b"x" * 60_000 + b'"', 4_000_000).replace(
        b'"choices":[]', b'"choices":[],"usage":{"total_tokens":9}'
    )
    return chunked([finish, usage, b"data: [DONE]\n\n"], EVENTS)


def _long_events() -> Answer:
    event = _event(b'"' + b"x" * 60_000 + b'"', 900_000)
    return endless(lambda: repeat(event))


_FILLING = ("zipped_brackets", "zipped_text", "medium_brackets", "gzip_of_many_members")


def _whole(name: str, make: Callable[[], Answer], count: int = 2) -> Attack:
    return Attack(name, partial(_call, make, count), name in _FILLING)


def _streamed(name: str, make: Callable[[], Answer], count: int = 2) -> Attack:
    return Attack(name, partial(_call, make, count, stream=True), name == "no_line_ends")


ATTACKS = [
    _whole("zipped_brackets", partial(_gzipped, b"[]"), 1),
    _whole("zipped_objects", partial(_gzipped, b'{"a":{}}')),
    _whole("zipped_text", partial(_gzipped, b'"' + b"x" * 4000 + b'"'), 8),
    _whole("medium_brackets", partial(_gzipped, b"[]", 2 * MEBIBYTE), 16),
    _whole("twice_deflated", _twice_deflated),
    _whole("gzip_of_many_members", _many_members),
    _whole("reply_in_chunks_of_a_byte", _chunks_of_a_byte),
    _whole("informational_for_ever", _informational),
    _whole("long_head", _long_head),
    _whole("zipped_error", partial(_error, partial(_reply, b"[]"))),
    _streamed("events_of_brackets", _event_of_brackets),
    _streamed("zipped_events", _zipped_events),
    _streamed("tiny_events", _tiny_events),
    _streamed("endless_tools", _endless_tools),
    _streamed("usage_in_choices", _usage_in_choices),
    _streamed("reasons_of_choices", _reasons),
    _streamed("no_line_ends", _no_line_ends),
    _streamed("only_comments", _only_comments),
    Attack("replies_unread", partial(_call, _long_text, 40, is_read=False), True),
    Attack("events_unread", partial(_call, _long_events, 20, stream=True, is_read=False), True),
    Attack(
        "fast_events_unread",
        partial(_call, _tiny_events, 300, stream=True, is_read=False, limit=10**6),
        True,
    ),
    Attack("ends_unread", partial(_call, _large_end, 100, stream=True, is_read=False), True),
    Attack("tools_translated", partial(_call, _endless_tools, 2, stream=True, path=MESSAGES)),
    *(
        Attack(name, partial(_call, partial(_arguments, text), 2, stream=True, path=MESSAGES))
        for name, text in {
            "brackets_in_arguments": b"[",
            "strings_in_arguments": b'\\"',
            "blanks_in_arguments": b"{}" + b" " * 1000,
        }.items()
    ),
    Attack("ids_translated", partial(_call, _ids_of_calls, 2, stream=True, path=MESSAGES)),
    Attack("names_of_members", partial(_call, _names, 8, stream=True, limit=10**6)),
    Attack("words_of_failures", partial(_call, _words, 16, stream=True)),
    Attack("many_calls", partial(_call, _many_calls, 16, stream=True, path=MESSAGES)),
    Attack("long_kinds", partial(_call, _long_kinds, 2, stream=True, limit=10**6)),
    Attack("inputs_translated", partial(_call, _inputs, 2, stream=True, path=MESSAGES)),
    Attack("tiny_events_translated", partial(_call, _tiny_events, 2, stream=True, path=MESSAGES)),
    Attack(
        "zipped_brackets_translated",
        partial(_call, partial(_gzipped, b"[]"), 2, path=MESSAGES),
    ),
]
