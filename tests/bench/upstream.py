"""A provider that costs next to nothing: the same chat completion again and again, or 50 chunks.

Usage: python -m tests.bench.upstream <port>
"""

import asyncio
import sys
from typing import Any, cast

import orjson
import uvloop

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
_BODY = orjson.dumps({**_COMMON, "object": "chat.completion", "choices": _choices, "usage": _USAGE})
_REPLY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENTS = [
    *[_chunk(_delta({"content": " metering"})) for _ in range(CHUNKS - 3)],
    _chunk(_delta({}, "stop")),
    _chunk([], _USAGE),
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
]


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
        if b'"stream":true' in body:
            self._transport.write(_HEAD)
            self._send(0)
        else:
            self._transport.write(_REPLY)

    def _send(self, number: int) -> None:
        self._transport.write(_EVENTS[number])
        if number + 1 < len(_EVENTS):
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._send, number + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
