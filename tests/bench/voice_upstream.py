"""A provider of voice for benchmarks: once it is asked for a response it speaks, without an end.

Usage: python -m tests.bench.voice_upstream <port> <messages a second>. Each message has the time
when it was sent.
"""

import asyncio
import sys
import time

import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, serve

_period = 0.02
_AUDIO = "A" * 6_400
"""0.1 s, in base64."""
_USAGE = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50}


async def _talk(connection: ServerConnection) -> None:
    session = {"id": "sess_1", "type": "realtime", "object": "realtime.session"}
    await connection.send(text({"type": "session.created", "session": session}))
    speaking: asyncio.Task[None] | None = None
    async for message in connection:
        # What appends audio is read, and no more: it must not cost more than what is measured.
        if len(message) < 1_000:
            kind = orjson.loads(message)["type"]
            if kind == "session.update":
                await connection.send(text({"type": "session.updated", "session": session}))
            elif kind == "response.create" and speaking is None:
                metadata = orjson.loads(message).get("response", {}).get("metadata")
                speaking = asyncio.create_task(_speak(connection, metadata))
    if speaking is not None:
        speaking.cancel()


async def _speak(connection: ServerConnection, metadata: object) -> None:
    response = {"id": "resp_1", "object": "realtime.response", "metadata": metadata}
    await connection.send(
        text({"type": "response.created", "response": {**response, "status": "in_progress"}})
    )
    due = time.monotonic()
    while True:
        due = max(due + _period, time.monotonic())  # what is late is left out
        await asyncio.sleep(max(due - time.monotonic(), 0))
        delta = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "delta": _AUDIO}
        sent = f"{time.monotonic():.6f}"
        await connection.send(
            text({"type": "response.output_audio.delta", "event_id": sent, **delta})
        )


def text(event: dict[str, object]) -> str:
    return orjson.dumps(event).decode()


async def main(port: int) -> None:
    async with serve(_talk, "127.0.0.1", port, compression=None, ping_interval=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    _period = 1 / float(sys.argv[2])
    uvloop.run(main(int(sys.argv[1])))
