"""The routes of the double."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.doubles.ultravox.call import Call
from tests.doubles.ultravox.calls import Calls
from tests.doubles.ultravox.joining import join

MEMBERS = {
    *("systemPrompt", "temperature", "model", "voice", "externalVoice", "languageHint"),
    *("initialMessages", "joinTimeout", "maxDuration", "timeExceededMessage"),
    *("inactivityMessages", "selectedTools", "medium", "recordingEnabled", "firstSpeaker"),
    *("transcriptOptional", "initialOutputMedium", "vadSettings", "firstSpeakerSettings"),
    *("experimentalSettings", "metadata", "initialState", "dataConnection", "callbacks"),
    *("voiceOverrides", "enableGreetingPrompt"),
}
_DURATION = re.compile(r"\d+(\.\d+)?s")
_RESET = struct.pack("ii", 1, 0)

Handler = Callable[[Calls, web.Request, str], Awaitable[web.StreamResponse]]


def create_app(calls: Calls) -> web.Application:
    app = web.Application()

    def add(method: str, path: str, what: str, handler: Handler) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = request.headers.get("x-api-key", "")
            calls.asked[key] += 1
            if not key:
                detail = "Authentication credentials were not provided."
                return web.json_response({"detail": detail}, status=403)
            fault = calls.faults.get((key, what))
            if fault is None:
                return await handler(calls, request, key)
            if fault.status:
                return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
            return _reset(request)

        app.router.add_route(method, path, handle)

    add("POST", "/api/calls", "create", _create)
    add("GET", "/api/calls", "get", _list)
    add("GET", "/api/calls/{call_id}", "get", _get)
    add("DELETE", "/api/calls/{call_id}", "send", _delete)
    add("GET", "/api/deleted_calls/{call_id}", "get", _deleted)
    add("POST", "/api/calls/{call_id}/send_data_message", "send", _send)

    async def join_call(request: web.Request) -> web.StreamResponse:
        return await join(calls, request)

    app.router.add_get("/join/{token}", join_call)
    return app


async def _create(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    try:
        asked = json.loads(await request.read())
    except ValueError:
        return web.json_response({"detail": "JSON parse error"}, status=400)
    course = calls.take(key)
    await asyncio.sleep(course.delay)
    if course.lost == "request":
        return _reset(request)
    if course.status != 201:
        detail = {"detail": f"The double answers {course.status}."}
        return web.json_response(detail, status=course.status, headers=course.headers)
    if faults := _faults(asked):
        return web.json_response(faults, status=400)
    call = calls.make(key, asked, course, str(request.url.origin()))
    if course.lost == "answer":
        return _reset(request)
    return web.json_response(call.shown(), status=201, headers=course.headers)


def _faults(asked: Any) -> dict[str, list[str]]:
    """By member."""
    if not isinstance(asked, dict):
        return {"non_field_errors": ["Expected an object."]}
    faults = {name: ["Unknown member."] for name in set(asked) - MEMBERS}
    for name in ("joinTimeout", "maxDuration"):
        if name in asked and not _DURATION.fullmatch(str(asked[name])):
            faults[name] = ["Not a duration."]
    metadata = asked.get("metadata", {})
    if any(
        not isinstance(value, str) or name.startswith("ultravox.")
        for name, value in metadata.items()
    ):
        faults["metadata"] = ["Not a map of strings."]
    medium = asked.get("medium", {})
    if "serverWebSocket" in medium and "inputSampleRate" not in medium["serverWebSocket"]:
        faults["medium"] = ["inputSampleRate is required."]
    return faults


async def _list(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    wanted = {
        name.removeprefix("metadata."): value
        for name, value in request.query.items()
        if name.startswith("metadata.")
    }
    found = [
        call.shown()
        for call in calls.all.values()
        if call.key == key and wanted.items() <= call.asked.get("metadata", {}).items()
    ]
    return web.json_response(
        {"next": None, "previous": None, "results": found, "total": len(found)}
    )


async def _get(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    call = _find(calls, request, key)
    return _not_found() if call is None or call.deleted else web.json_response(call.shown())


async def _delete(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    call = _find(calls, request, key)
    if call is None or call.deleted:
        return _not_found()
    if call.ended is None:
        return web.json_response({"detail": "The call has not ended."}, status=425)
    call.deleted = True
    return web.Response(status=204)


async def _deleted(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    call = _find(calls, request, key)
    found = call is not None and call.deleted
    return web.json_response(call.tombstone()) if call and found else _not_found()


async def _send(calls: Calls, request: web.Request, key: str) -> web.StreamResponse:
    call = _find(calls, request, key)
    if call is None or call.deleted:
        return _not_found()
    message = json.loads(await request.read())
    call.messages.append(message)
    if call.joined is None or call.ended is not None:
        return web.json_response({"detail": "The call is not active."}, status=422)
    if message.get("type") == "hang_up" and not call.course.ignores_hang_up:
        calls.end(call, "agent_hangup")
    return web.Response(status=204)


def _find(calls: Calls, request: web.Request, key: str) -> Call | None:
    call = calls.all.get(request.match_info["call_id"])
    return call if call and call.key == key else None


def _not_found() -> web.Response:
    return web.json_response({"detail": "Not found."}, status=404)


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        linger = request.transport.get_extra_info("socket")
        linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return web.Response()
