"""A provider that costs next to nothing: the same chat completion again and again, or 50 chunks;
or the same response, or its events.

Usage: python -m tests.bench.upstream <port>
"""

import asyncio
import sys
from typing import Any, cast

import orjson
import uvloop

from tests.bench.upstream_responses import events_of, reply_of

CHUNKS = 50
PAUSE_SECONDS = 0.002

_USAGE = {"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS}
_COMMON = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "bench-model"}
_TEXT = "Metering that is exactly right, again and again. " * 5


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    value = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    data = b"data: " + orjson.dumps(value) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


_message = {"role": "assistant", "content": _TEXT, "refusal": None}
_choices = [{"index": 0, "message": _message, "logprobs": None, "finish_reason": "stop"}]
_COMPLETION = {**_COMMON, "object": "chat.completion", "choices": _choices, "usage": _USAGE}


def _whole(value: dict[str, Any]) -> bytes:
    body = orjson.dumps(value)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNKS = [
    *[_chunk(_delta({"content": " metering"})) for _ in range(CHUNKS - 3)],
    _chunk(_delta({}, "stop")),
    _chunk([], _USAGE),
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
]
_EVENTS = [b"%x\r\n%b\r\n" % (len(event), event) for event in events_of(CHUNKS)]
_EVENTS[-1] += b"0\r\n\r\n"
_ANSWERS = {
    b"POST /v1/responses": (_whole(reply_of(_TEXT, CHUNKS)), _EVENTS),
    b"POST /v1/chat/comp": (_whole(_COMPLETION), _CHUNKS),
}
"""Whole and in pieces, by what a request begins with."""
_BEGINNING = 18


class Provider(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if not found or len(body) < length:
            return
        self._received = b""
        whole, pieces = _ANSWERS[head[:_BEGINNING]]
        if b'"stream":true' in body:
            self._transport.write(_HEAD)
            self._send(pieces, 0)
        else:
            self._transport.write(whole)

    def _send(self, pieces: list[bytes], number: int) -> None:
        self._transport.write(pieces[number])
        if number + 1 < len(pieces):
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._send, pieces, number + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
