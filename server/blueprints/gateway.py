"""The gateway: the providers' own routes, for their official SDKs, metered."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from sanic import Blueprint

from server.blueprints import body
from server.blueprints.by_size import reply_by_size
from server.blueprints.request import Request
from server.errors import (
    NoModel,
    Refusal,
    TenantLimited,
    TooManyRequests,
    Unsupported,
)
from server.gateway.attempts import Attempt, plan_attempts
from server.gateway.bodies import Bodies
from server.gateway.calls import Call, Caller
from server.gateway.endpoints import find_targets
from server.gateway.kept import continuing, note
from server.gateway.options import Asked
from server.gateway.policy import judge
from server.gateway.prompts import BYTES_IN_MEMORY, NO_HEADERS, fill
from server.gateway.restricted import for_key
from server.gateway.room import Portion
from server.gateway.streams import StreamedCall
from server.gateway.whole import complete
from server.metering.errors import NotAllowed, PaymentRequired, TokensHeld, TooManyCalls
from server.metering.results import Held
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
from server.providers.errors import OF_PROVIDERS
from server.providers.estimate import measure
from server.providers.identifiers import user_of_tenant
from server.providers.wire import WIRES, Wire
from server.replies import Reply
from server.tenants.config import TenantConfig

log = logging.getLogger(__name__)

blueprint = Blueprint("gateway", url_prefix="/v1")

Plan = Callable[[bytearray, Caller, TenantConfig], tuple[Asked, list[Attempt]]]
"""What is asked with a body, which is emptied, and of whom. Raises Refusal."""

_NOT_BUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}

REFUSALS = [
    *(Unsupported, NotAllowed, NoModel, PaymentRequired),
    *(TooManyRequests, TooManyCalls, TenantLimited, TokensHeld),
    *OF_PROVIDERS,
]
COST = f"""\
Tokens are held for the prompt and the output limit, and settled to what the provider reports, \
times the model's weights. The output limit is cut to what the balance affords; 402 where that \
is less than one token. Members that are not shown here are passed on, or translated where the \
endpoint speaks the other protocol; what cannot be, is refused with 400 and named. \
Of the model `prompt/<name>` all is the tenant's own but `variables`, and the messages of a chat. \
At most {body.OF_CALLS.size // body.MIB} MiB, {body.OF_CALLS.values:,} values, nested \
{body.OF_CALLS.depth} deep. \
An answer that had begun, and is too large, cut or too slow, is charged for what is known of it."""


def streamed(event: Any) -> Answer:
    """That of a call which asks for it, of such events."""
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
            streamed(ChatCompletionEvent),
        ],
        about=f"{COST} All members: `platform.openai.com/docs/api-reference/chat`.",
        credential="any key",
        body=NewChatCompletion,
        refusals=REFUSALS,
        rated=True,
    ),
)
def chat(request: Request, tenant_id: TenantId) -> Awaitable[Reply | None]:
    return call_provider(request, WIRES["openai"])


@blueprint.post("/v1/messages", stream=True, ctx_speaks="anthropic", name="message_again")
@blueprint.post(
    "/messages",
    stream=True,
    ctx_speaks="anthropic",
    ctx_doc=Doc(
        "Gateway",
        "A message, in Anthropic's shape",
        [Answer("the message", Message, headers=(*RATE, *SPENT)), streamed(MessageEvent)],
        about=f"{COST} All members: `platform.claude.com/docs/en/api/messages`.",
        credential="any key",
        parameters=[ANTHROPIC_VERSION, ANTHROPIC_BETA],
        body=NewMessage,
        refusals=REFUSALS,
        rated=True,
    ),
)
def message(request: Request, tenant_id: TenantId) -> Awaitable[Reply | None]:
    return call_provider(request, WIRES["anthropic"])


def plan_text(text: bytearray, caller: Caller, config: TenantConfig) -> tuple[Asked, list[Attempt]]:
    """What is asked with this body, which is emptied, and of whom. Raises Refusal."""
    length: float = len(text)
    is_long = length > body.ASIDE_BYTES
    sent, wire, who = body.parse(text), caller.wire, caller.who
    try:
        ask = wire.ask(sent)
        targets = find_targets(config.providers.text, ask.model, wire.operation)
    except (NoModel, Unsupported):
        if (filled := fill(config, sent, wire)) is None:
            raise
        sent, ask, targets = filled
        length = math.inf  # of what the tenant has written, too
    user = user_of_tenant(who.tenant_id, who.user_id)
    # A prompt is a chat, whatever the client speaks.
    turns = "messages" if ask.prompt else wire.turns
    try:
        asked = Asked(sent, wire, ask, measure(sent, length, turns), caller.headers, user, is_long)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise Unsupported(wire.turns, "The request is nested too deeply") from None
    return asked, plan_attempts(asked, targets)


async def call_provider(
    request: Request, wire: Wire, plan: Plan = plan_text, bounds: body.Bounds = body.OF_CALLS
) -> Reply | None:
    """The reply of a call that a client of this kind has made; None if it is sent already. `bounds`
    are its body's. Raises Refusal."""
    services, who = request.services, await request.who(any_key=True)
    config = request.tenant.config
    endpoints = config.providers.asked_for(wire.operation)

    async def ask() -> None:
        try:
            await services.meter.check(who, "hold", endpoints.least_cost if endpoints else 2)
        except PaymentRequired as refusal:
            if not refusal.is_held:  # else the hold waits for it
                raise

    with services.request_room.portion(who.tenant_id, who.user_id) as portion:
        text = await body.read(request.http, bounds, portion, ask)
        caller = Caller(who, request.ref, request.headers, wire)
        asked, attempts = await body.handle(text, bounds, portion, plan, caller, config)
        if asked.ask.prompt:
            caller.headers = NO_HEADERS
            portion.grow_by(asked.prompt.size * BYTES_IN_MEMORY)
        if asked.ask.previous:
            attempts = await continuing(services.kept_responses, who, asked, attempts)
        meter = request.meter(asked.ask.stream)
        attempts, fault = for_key(who.restricted, endpoints, attempts)
        judged = judge(config.policies, attempts, fault)
        services.places.take(who.tenant_id)
        upstream, bodies = services.upstream, Bodies(asked, portion.keep())
        made = Call(services.holding, meter, upstream, caller, attempts, judged, bodies)
    try:
        return await _metered(request, made, asked.ask.stream)
    finally:
        services.places.leave(who.tenant_id)


async def _metered(request: Request, call: Call, is_stream: bool) -> Reply | None:
    who = call.caller.who
    portion = request.services.reply_room.portion(who.tenant_id, who.user_id)
    if is_stream:
        try:
            await _stream(request, call, portion)
        finally:
            call.forget_bodies()
            portion.leave()
        return None
    # A task of its own for the call would cost it 4 %.
    connection = request.connection
    connection.on_loss = call.go_on_alone
    try:
        body, headers = await complete(call, portion)
        if call.kept is not None:
            await note(request.services.kept_responses, who, call.kept)
        # Where Anthropic's SDK looks for it; OpenAI's reads X-Request-ID.
        headers["request-id"] = str(request.id)
        connection.on_loss = None
        return None if call.is_alone else await reply_by_size(request, body, headers)
    except Exception as error:
        if call.is_alone and not isinstance(error, Refusal):
            log.exception("A call failed")  # Sanic reports it to its client
        raise
    finally:
        connection.on_loss = None
        portion.leave()
        if call.is_alone:
            raise asyncio.CancelledError  # as all whose client has gone


async def _stream(request: Request, call: Call, portion: Portion) -> None:
    streamed, refusal = StreamedCall(call, portion), None
    async with streamed.hold() as hold:
        try:
            relay = await streamed.open(hold.held)
        except Refusal as error:
            refusal = error
        else:
            response = await _begin(request, hold.held)
            await response.send(relay.first())
            while piece := await relay.pass_on(request.http.send_now):
                with relay.held(piece):
                    await response.send(piece)
    # After the settle, so that a client that has read the end finds its balance changed.
    settled = hold.settled
    if refusal is not None:
        refusal.headers |= settled.headers() if settled else {}
        raise refusal
    if call.kept is not None:
        await note(request.services.kept_responses, call.caller.who, call.kept)
    await response.send(relay.end(settled.told() if settled else {}), end_stream=True)


async def _begin(request: Request, held: Held) -> Reply:
    """The reply, of which the head is sent."""
    headers = {**held.rate.headers(), **_NOT_BUFFERED, "request-id": str(request.id)}
    response: Reply = await request.respond(Reply(None, 200, headers, "text/event-stream"))
    if request.version == "1.0":
        await response.begin_unchunked()
    return response
