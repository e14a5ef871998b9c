"""The routes of a double."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from tests.doubles import (
    anthropic_wire,
    count_wire,
    embeddings_wire,
    moderation_wire,
    openai_wire,
    responses_wire,
)
from tests.doubles.answer import Answer
from tests.doubles.call import Call, Script
from tests.doubles.plan import Plan
from tests.doubles.prompt import estimate, key_of
from tests.doubles.sending import Sending, whole
from tests.doubles.stored_responses import StoredResponses
from tests.doubles.wire import Wire, dumps

MODELS = {"openai": "double-mini", "anthropic": "double-claude"}
LARGEST_BODY = 64 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(script: Script) -> web.Application:
    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/v1/chat/completions", _handler(openai_wire, script))
    app.router.add_post("/v1/messages", _handler(anthropic_wire, script))
    app.router.add_post("/v1/messages/count_tokens", _handler(count_wire, script))
    app.router.add_post("/v1/embeddings", _handler(embeddings_wire, script))
    app.router.add_post("/v1/moderations", _handler(moderation_wire, script))
    app.router.add_get("/v1/models", _models)
    kept = StoredResponses()
    app.router.add_post("/v1/responses", _handler(responses_wire, script, kept))
    app.router.add_route("*", "/v1/responses/{id}", partial(_stored, kept))
    return app


def _handler(wire: Wire, script: Script, kept: StoredResponses | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = _json(await request.read())
        call = Call(key_of(body), wire.PROTOCOL, request.path, headers, body, request.query_string)
        number, answer = script.record(call)
        try:
            refusal = _refusal(wire, call, answer, kept)
            if refusal is not None:
                await asyncio.sleep(answer.delay)
                return refusal
            plan = _plan(wire, body, answer)
            if kept is not None:
                kept.keep(body, wire.reply(str(number), body, plan))
            return await Sending(request, wire, script, call, plan, number).send()
        except (asyncio.CancelledError, ConnectionError):
            call.peer_gone = True
            raise
        finally:
            call.ended = True

    return handle


def _refusal(
    wire: Wire, call: Call, answer: Answer, kept: StoredResponses | None
) -> web.Response | None:
    """What is answered without using any tokens."""
    if not _has_credential(call.headers):
        return _error(wire, Answer(), 401, "No API key provided.")
    if fault := wire.fault_of(call.headers, call.body):
        return _error(wire, Answer(), 400, fault)
    if kept is not None and (fault := kept.fault_of(call.body)):
        return _error(wire, Answer(), 404, fault)
    if answer.redirect:
        return web.Response(status=307, headers={"location": answer.redirect, **answer.headers})
    if answer.status != 200:
        return _error(wire, answer, answer.status, f"The double answers {answer.status}.")
    return None


def _error(wire: Wire, answer: Answer, status: int, message: str) -> web.Response:
    return whole(wire, answer, status, dumps(wire.error(status, answer.code, message)))


def _plan(wire: Wire, body: dict[str, Any], answer: Answer) -> Plan:
    tokens = estimate(body) if answer.input_tokens is None else answer.input_tokens
    return Plan(answer, wire.limit_of(body), wire.choices_of(body), tokens)


async def _stored(kept: StoredResponses, request: web.Request) -> web.Response:
    """GET and DELETE of a response."""
    if not _has_credential({name.lower(): value for name, value in request.headers.items()}):
        return _error(responses_wire, Answer(), 401, "No API key provided.")
    response_id = request.match_info["id"]
    found = kept.get(response_id)
    if found is None or request.method not in ("GET", "DELETE"):
        message = f"Response with id '{response_id}' not found."
        return _error(responses_wire, Answer(), 404, message)
    if request.method == "GET":
        return web.json_response(found)
    kept.delete(response_id)
    return web.json_response({"id": response_id, "object": "response", "deleted": True})


async def _models(request: web.Request) -> web.Response:
    wire: Wire = anthropic_wire if "anthropic-version" in request.headers else openai_wire
    if not _has_credential({name.lower(): value for name, value in request.headers.items()}):
        return _error(wire, Answer(), 401, "No API key provided.")
    model = MODELS[wire.PROTOCOL]
    if wire.PROTOCOL == "openai":
        data = {"id": model, "object": "model", "created": 1_790_000_000, "owned_by": "double"}
        return web.json_response({"object": "list", "data": [data]})
    named = {"display_name": "Double", "created_at": "2026-01-01T00:00:00Z"}
    page = {"has_more": False, "first_id": model, "last_id": model}
    return web.json_response({"data": [{"type": "model", "id": model, **named}], **page})


def _has_credential(headers: dict[str, str]) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return bool(headers.get("x-api-key") or (scheme.lower() == "bearer" and token.strip()))


def _json(data: bytes) -> dict[str, Any]:
    """The body; an empty one for what is no object, which the provider then refuses."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
