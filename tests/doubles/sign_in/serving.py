"""What the endpoints have in common."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from tests.doubles.sign_in.issuer import Fault, Issuer

_Answer = web.Response | dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def asks(
    issuer: Issuer, what: str
) -> Callable[[Callable[[web.Request], Awaitable[_Answer]]], Handler]:
    """Counts what is asked, and puts the fault that is set for it in its place."""

    def decorate(handler: Callable[[web.Request], Awaitable[_Answer]]) -> Handler:
        @wraps(handler)
        async def handle(request: web.Request) -> web.StreamResponse:
            issuer.asked.append(what)
            fault = issuer.faults.get(what, Fault())
            await asyncio.sleep(fault.delay)
            if fault.stall:
                begun = web.StreamResponse()
                await begun.prepare(request)
                await begun.write(b"{")
                await asyncio.sleep(fault.stall)
                return begun
            if fault.status:
                headers = {"location": f"{issuer.url}/elsewhere"} if fault.status == 302 else {}
                return web.Response(status=fault.status, text=fault.body, headers=headers)
            answer = await handler(request)
            if isinstance(answer, dict):
                answer = web.json_response(answer)
            answer.headers["cache-control"] = fault.cache_control or "public, max-age=19000"
            return answer

        return handle

    return decorate


def error(word: str) -> web.Response:
    return web.json_response({"error": word}, status=400)


async def form_of(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType
    return {name: str(value) for name, value in (await request.post()).items()}


def id_token(issuer: Issuer, client_id: str, claims: dict[str, Any]) -> str:
    given = {name: value for name, value in claims.items() if value is not None}
    return issuer.sign(issuer.claims(client_id, **given))
