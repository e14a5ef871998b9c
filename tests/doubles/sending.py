"""Gives an answer over HTTP, with the faults it asks for."""

import asyncio
import gzip
import socket
import struct

from aiohttp import web

from tests.doubles.answer import Answer
from tests.doubles.call import Call, Script
from tests.doubles.plan import Plan
from tests.doubles.quirks import apply, apply_to_frames
from tests.doubles.wire import Wire, dumps

_RESET = struct.pack("ii", 1, 0)


class Sending:
    """One reply on its way."""

    def __init__(
        self, request: web.Request, wire: Wire, script: Script, call: Call, plan: Plan, number: int
    ) -> None:
        self._request = request
        self._wire = wire
        self._script = script
        self._call = call
        self._plan = plan
        self._answer = plan.answer
        self._reply_id = str(number)
        self._stop_at = plan.step(self._answer.stop_at)
        self._cut_at = plan.step(self._answer.cut_at)
        self._error_at = plan.step(self._answer.error_at)

    async def send(self) -> web.StreamResponse:
        await asyncio.sleep(self._answer.delay)
        if self._cut_at == 0:
            self._reset()
            return web.Response()
        self._call.used = self._plan.input_tokens
        return await (self._stream() if self._call.body.get("stream") else self._whole())

    async def _whole(self) -> web.StreamResponse:
        if self._stop_at is not None:
            await self._wait_for_release()
        self._call.used += self._plan.output
        reply = self._wire.reply(self._reply_id, self._call.body, self._plan)
        (reply, *_) = apply(self._answer.quirks, reply)
        body = dumps(reply)
        response = whole(self._wire, self._answer, 200, body)
        if self._cut_at is None:
            await response.prepare(self._request)
            await response.write_eof()
            self._call.bytes_written = len(body)
            self._call.finished = True
            return response
        half = web.StreamResponse(headers=response.headers)
        await half.prepare(self._request)
        await half.write(body[: len(body) // 2])
        self._reset()
        return half

    async def _stream(self) -> web.StreamResponse:
        headers = {**self._wire.HEADERS, **self._answer.headers}
        response = web.StreamResponse(headers=headers)
        response.content_type = "text/event-stream"
        await response.prepare(self._request)
        if self._answer.raw_body is not None:
            self._call.used += self._plan.output
            await self._write(response, self._answer.raw_body)
        elif not await self._take_steps(response):
            return response
        await response.write_eof()
        self._call.finished = self._error_at is None
        return response

    async def _take_steps(self, response: web.StreamResponse) -> bool:
        """False: the connection is reset."""
        steps = self._wire.steps(self._reply_id, self._call.body, self._plan)
        for number, events in enumerate(steps):
            # Also without a pause, so that one fast stream leaves the others a turn.
            await asyncio.sleep(self._answer.pause if number else 0)
            if number == self._cut_at:
                self._reset()
                return False
            if number == self._stop_at:
                await self._wait_for_release()
            if number == self._error_at:
                await self._write(response, self._wire.error_event(self._answer.code))
                break
            self._call.used = self._plan.input_tokens + self._plan.generated(number)
            await self._write(response, apply_to_frames(self._answer.quirks, events))
            self._call.steps += 1
        return True

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if data:
            await response.write(data)
            self._call.bytes_written += len(data)

    async def _wait_for_release(self) -> None:
        await self._script.released[self._call.key].wait()

    def _reset(self) -> None:
        transport = self._request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()


def whole(wire: Wire, answer: Answer, status: int, body: bytes) -> web.Response:
    """A reply that is no stream."""
    if answer.raw_body is not None:
        body = answer.raw_body
    given = {name.lower(): value for name, value in answer.headers.items()}
    headers = {"content-type": "application/json", **wire.HEADERS, **given}
    if answer.gzip:
        body, headers["content-encoding"] = gzip.compress(body), "gzip"
    return web.Response(status=status, headers=headers, body=body)
