"""A connection of the double: its handshake, and how it ends."""

import json
import socket
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.doubles import openai_wire
from tests.doubles.realtime.conversation import new_id
from tests.doubles.realtime.record import Session
from tests.doubles.realtime.service import End

_RESET = struct.pack("ii", 1, 0)
_KEY = "openai-insecure-api-key."


class Wire:
    """What goes to the client of a session."""

    def __init__(self, connection: ServerConnection, record: Session) -> None:
        self._connection = connection
        self._record = record

    async def send(self, kind: str, **members: Any) -> None:
        event = {"type": kind, "event_id": new_id("event"), **members}
        await self.send_raw(json.dumps(event, separators=(",", ":")))  # as OpenAI does

    async def send_raw(self, message: str | bytes) -> None:
        await self._connection.send(message)
        self._record.sent += 1

    async def end(self, end: End) -> None:
        if end.code:
            error = {"type": end.kind, "code": end.code, "message": end.message}
            await self.send("error", error={**error, "param": None, "event_id": None})
        await self._connection.close(end.close, end.reason)

    def reset(self) -> None:
        reset(self._connection)

    def deafen(self) -> None:
        """Nothing more is read, so that not even a ping is answered."""
        self._connection.transport.pause_reading()


def reset(connection: ServerConnection) -> None:
    transport = connection.transport
    linger = transport.get_extra_info("socket")
    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def chosen(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None


def offered_by(request: Request) -> list[str]:
    values = request.headers.get_all("sec-websocket-protocol")
    return [item.strip() for value in values for item in value.split(",")]


def has_credential(request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and bool(token.strip())
    return bearer or any(item.startswith(_KEY) for item in offered_by(request))


def is_beta(request: Request) -> bool:
    named = "realtime=v1" in request.headers.get("openai-beta", "")
    return named or "openai-beta.realtime-v1" in offered_by(request)


def answer(status: int, headers: dict[str, str]) -> Response:
    """To a handshake that is refused, by HTTP."""
    message = f"The double answers {status}, organization org-of-the-tenant."
    body = json.dumps(openai_wire.error(status, "", message)).encode()
    of_body = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, HTTPStatus(status).phrase, Headers({**of_body, **headers}), body)
