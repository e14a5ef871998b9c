"""The gateway: the providers' own routes, for their official SDKs, metered."""

import asyncio
import logging
from typing import Any

import orjson
from sanic import Blueprint

from server.blueprints.request import Request
from server.errors import (
    NoModel,
    Overloaded,
    PaymentRequired,
    Refusal,
    TooManyRequests,
    Unsupported,
)
from server.gateway.attempts import plan
from server.gateway.calls import Call, Caller
from server.gateway.endpoints import find_targets
from server.gateway.large_bodies import LargeBody
from server.gateway.streams import StreamedCall
from server.gateway.whole import Completed, complete
from server.openapi.headers import RATE, SPENT
from server.openapi.provider_bodies import (
    ANTHROPIC_BETA,
    ANTHROPIC_VERSION,
    ChatCompletion,
    ChatCompletionEvent,
    Message,
    MessageEvent,
    NewChatCompletion,
    NewMessage,
)
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.providers.errors import (
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderRefused,
    ProviderTimeout,
)
from server.providers.estimate import measure
from server.providers.wire import WIRES, ProtocolName
from server.replies import Reply

log = logging.getLogger(__name__)

blueprint = Blueprint("gateway", url_prefix="/v1")

CALL_BYTES = 10 * 1024 * 1024
LARGE_BODIES_BYTES = 64 * 1024 * 1024
_NOT_BUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}

_REFUSALS = [
    *(Unsupported, NoModel, PaymentRequired, TooManyRequests, ProviderRefused, ProviderBusy),
    *(ProviderError, ProviderAuthError, ProviderQuota, ProviderTimeout, Overloaded),
]
_COST = """\
Tokens are held for the prompt and the output limit, and settled to what the provider reports, \
times the endpoint's `weight`. The output limit is cut to what the balance affords; 402 where that \
is less than one token. Members that are not shown here are passed on, or translated where the \
endpoint speaks the other protocol; what cannot be, is refused with 400 and named."""


def _streamed(event: Any) -> Answer:
    when = "with `stream`, server-sent events as they come, of which a failure is the last"
    return Answer(when, event, headers=RATE, media_type="text/event-stream")


# Anthropic's SDK adds /v1 itself, also to a base URL that has one: a second address for each,
# which has no Doc.
@blueprint.post("/v1/chat/completions", stream=True, ctx_speaks="openai", name="chat_again")
@blueprint.post(
    "/chat/completions",
    stream=True,
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "A chat completion, in OpenAI's shape",
        [
            Answer("the completion", ChatCompletion, headers=(*RATE, *SPENT)),
            _streamed(ChatCompletionEvent),
        ],
        about=f"{_COST} All members: `platform.openai.com/docs/api-reference/chat`.",
        credential="user",
        body=NewChatCompletion,
        refusals=_REFUSALS,
        rated=True,
    ),
)
async def chat(request: Request, tenant_id: TenantId) -> Reply | None:
    return await _call(request, "openai")


@blueprint.post("/v1/messages", stream=True, ctx_speaks="anthropic", name="message_again")
@blueprint.post(
    "/messages",
    stream=True,
    ctx_speaks="anthropic",
    ctx_doc=Doc(
        "Gateway",
        "A message, in Anthropic's shape",
        [Answer("the message", Message, headers=(*RATE, *SPENT)), _streamed(MessageEvent)],
        about=f"{_COST} All members: `platform.claude.com/docs/en/api/messages`.",
        credential="user",
        parameters=[ANTHROPIC_VERSION, ANTHROPIC_BETA],
        body=NewMessage,
        refusals=_REFUSALS,
        rated=True,
    ),
)
async def message(request: Request, tenant_id: TenantId) -> Reply | None:
    return await _call(request, "anthropic")


async def _call(request: Request, speaks: ProtocolName) -> Reply | None:
    services, who = request.services, await request.who()
    with services.large_bodies.admit(request.announced_bytes(CALL_BYTES)) as large:
        body = await request.read_any_object(CALL_BYTES)
        large.shrink_to(len(request.body))
        request.body = b""  # the parsed one is enough
        caller = Caller(who, request.ref, request.headers, WIRES[speaks])
        return await _metered(request, caller, body, large)


async def _metered(
    request: Request, caller: Caller, body: dict[str, Any], large: LargeBody
) -> Reply | None:
    services, wire = request.services, caller.wire
    ask = wire.ask(body)
    targets = find_targets(request.tenant.config.providers.text, ask.model)
    try:
        attempts = plan(body, wire, ask, measure(body), targets)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise Unsupported("messages", "The request is nested too deeply") from None
    call = Call(services.holding, services.upstream, caller, attempts)
    if ask.stream:
        await _stream(request, StreamedCall(call))
        return None
    completed = await _complete(request, call, large)
    # Where Anthropic's SDK looks for it; OpenAI's reads X-Request-ID.
    headers = {**completed.headers, "request-id": str(request.id)}
    return Reply(completed.body, 200, headers, "application/json")


async def _complete(request: Request, call: Call, large: LargeBody) -> Completed:
    """As a task, which comes to its end without a client that has gone."""
    task = request.services.holding.run(complete(call))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_log_fault)
        large.keep_until(task)
        raise


async def _stream(request: Request, call: StreamedCall) -> None:
    async with call.hold() as hold:
        relay = await call.open(hold.held)
        headers = {**hold.held.rate.headers(), **_NOT_BUFFERED, "request-id": str(request.id)}
        response = await request.respond(Reply(None, 200, headers, "text/event-stream"))
        if request.version == "1.0":
            await response.begin_unchunked()
        while piece := await relay.piece():
            await response.send(piece)
    # After the settle, so that a client that has read the end finds its balance changed.
    await response.send(relay.end())
    await response.eof()


def _log_fault(task: "asyncio.Task[Completed]") -> None:
    """Of a call whose client has gone, so that nobody else will."""
    if not task.cancelled() and task.exception() and not isinstance(task.exception(), Refusal):
        log.error("A call failed", exc_info=task.exception())
