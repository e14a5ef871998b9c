"""The socket by which a client joins a call."""

import asyncio

from aiohttp import WSMsgType, web

from tests.doubles.ultravox.call import Call
from tests.doubles.ultravox.calls import Calls


async def join(calls: Calls, request: web.Request) -> web.StreamResponse:
    token = request.match_info["token"]
    found = [call for call in calls.all.values() if call.token == token]
    if not found or found[0].joined is not None or found[0].ended is not None:
        return web.json_response({"detail": "Not found."}, status=404)
    call = found[0]
    connection = web.WebSocketResponse()
    await connection.prepare(request)
    call.client_version = request.query.get("clientVersion")
    calls.join(call)
    if "serverWebSocket" in (call.asked.get("medium") or {}):
        await connection.send_json({"type": "call_started", "callId": call.call_id})
        await connection.send_json({"type": "state", "state": "listening"})
    else:
        # Nobody is there: no media goes through this double.
        room = {"roomUrl": "ws://127.0.0.1:9", "token": call.token}
        await connection.send_json({"type": "room_info", **room})
    ending = asyncio.create_task(_close_at_end(calls, call, connection))
    try:
        await _hear(call, connection)
    finally:
        ending.cancel()
        calls.end(call, "hangup")
    return connection


async def _hear(call: Call, connection: web.WebSocketResponse) -> None:
    """Until it is closed."""
    async for message in connection:
        if message.type is WSMsgType.TEXT:
            call.texts.append(message.data)
        elif message.type is WSMsgType.BINARY:
            call.audio_bytes += len(message.data)
            # It says what it hears.
            await connection.send_bytes(message.data)


async def _close_at_end(calls: Calls, call: Call, connection: web.WebSocketResponse) -> None:
    await calls.until_ended(call)
    await connection.close()
