"""Sessions of voice, over a WebSocket. All is checked, and the provider is there, before the client
has its handshake: until then, what is wrong is a reply of HTTP."""

from collections.abc import Callable
from time import monotonic
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sanic import Blueprint

from server import metrics
from server.blueprints import cors
from server.blueprints.request import Request
from server.errors import (
    BadRequest,
    InvalidApiKey,
    NoModel,
    OriginNotAllowed,
    Overloaded,
    TenantLimited,
    TooManyFaults,
    TooManyRequests,
    Unsupported,
    UpgradeRequired,
)
from server.gateway.room import Room
from server.identity.client_secrets import PREFIX
from server.metering.errors import NotAllowed, PaymentRequired, TokensHeld, TooManyCalls
from server.metering.holding import Ending
from server.metering.results import Held
from server.metering.voice_rules import voice_rules
from server.openapi.headers import RATE
from server.openapi.route import Answer, Doc, Parameter
from server.openapi.values import TenantId
from server.providers.errors import (
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderTimeout,
)
from server.providers.identifiers import user_of_tenant
from server.tenants.endpoints import for_websockets, not_offered
from server.tenants.models import in_tokens
from server.voice.opening import Opening
from server.voice.provider import Asked, begin
from server.voice.session import Session
from server.websocket.accept import Handshake
from server.websocket.line import Line, Memory
from server.websocket.socket import Nobody, Socket
from server.who import Ref, Who

blueprint = Blueprint("realtime", url_prefix="/v1")

SUBPROTOCOL = "realtime"
KEY_SUBPROTOCOL = "openai-insecure-api-key."
_BETA = "openai-beta."
_NOT_SERVED = {
    "call_id": "Calls by WebRTC are not available: there is none to join",
    "intent": "Sessions that only transcribe are not available",
}
_LONGEST_MODEL = 100


class _Caller(NamedTuple):
    """`session`: what the client secret that it came with says of the session, {} for none."""

    who: Who
    session: dict[str, Any]


@blueprint.get(
    "/realtime",
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "Speak, over a WebSocket in the shape of OpenAI's Realtime API",
        [
            Answer(
                "the WebSocket is open, and the provider's session, too", status=101, headers=RATE
            )
        ],
        about="Each response is held before it begins and settled to what the provider reports; "
        "the session ends with 4402 when the balance is used up. The key may also come as the "
        f"subprotocol `{KEY_SUBPROTOCOL}<key>`, beside `{SUBPROTOCOL}`: an API key, or a client "
        "secret. Opening counts as one request. All events: "
        "`platform.openai.com/docs/api-reference/realtime-client-events`.",
        credential="any key",
        parameters=[
            Parameter(
                "model",
                "query",
                Annotated[
                    str,
                    Field(
                        description="as the tenant offers it; absent: the first realtime "
                        "endpoint's",
                        examples=["gpt-realtime-2.1"],
                    ),
                ],
            )
        ],
        refusals=[
            *(UpgradeRequired, Unsupported, OriginNotAllowed, NotAllowed, NoModel),
            *(PaymentRequired, TooManyRequests, TooManyCalls, TenantLimited, TokensHeld),
            *(Overloaded, ProviderBusy, ProviderError, ProviderAuthError, ProviderQuota),
            ProviderTimeout,
        ],
        rated=True,
    ),
)
async def realtime(request: Request, tenant_id: TenantId) -> None:
    handshake = Handshake(
        request.method, request.version, request.headers.items(), wanted=SUBPROTOCOL
    )
    _check_handshake(request, handshake)
    model = _model(request)
    services, caller = request.services, await _caller(request, handshake)
    asked = _asked(request, caller, model)
    services.voice.take(caller.who)
    try:
        session = await _open(request, handshake, caller, asked)
    except BaseException:
        services.voice.leave(caller.who)
        raise
    services.voice.run(session, caller.who, asked.name, asked.endpoint.most_seconds(asked.name))


realtime.is_websocket = True  # type: ignore[attr-defined]  # to Sanic: it has nothing to reply


def _check_handshake(request: Request, handshake: Handshake) -> None:
    """Raises BadRequest, UpgradeRequired, OriginNotAllowed, Overloaded, Unsupported."""
    headers = request.headers
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if handshake.status == BadRequest.status or has_body:
        raise BadRequest
    if handshake.status != 101:
        raise UpgradeRequired(headers={"upgrade": "websocket"})
    # CORS is not for WebSockets: a browser lets any page open one, and the page reads all.
    if not cors.may_call(request, request.tenant.config):
        raise OriginNotAllowed
    if request.services.draining:
        raise Overloaded
    betas = request.headers.getall("openai-beta", ())
    if any("realtime=" in beta for beta in betas) or any(
        name.startswith(_BETA) for name in handshake.offered
    ):
        message = "The beta of the Realtime API is gone: leave out OpenAI-Beta"
        raise _unsupported("OpenAI-Beta", message, "beta_api_shape_disabled")


def _model(request: Request) -> str:
    """That is asked for, '' for none. Raises BadRequest, Unsupported."""
    query = request.read_query()
    for name, message in _NOT_SERVED.items():
        if name in query:
            raise _unsupported(name, message, "unsupported_parameter")
    return query.get("model", "")


async def _caller(request: Request, handshake: Handshake) -> _Caller:
    """Raises as Request.who."""
    offered = [name for name in handshake.offered if name.startswith(KEY_SUBPROTOCOL)]
    api_key = request.api_key() or (offered[0].removeprefix(KEY_SUBPROTOCOL) if offered else "")
    if not api_key.startswith(PREFIX):
        return _Caller(await request.who(any_key=True, api_key=api_key), {})
    services = request.services
    secret = await services.client_secrets.find(api_key)
    if secret is None or secret.tenant_id != request.tenant.tenant_id:
        raise InvalidApiKey
    who = request.user = secret.who
    if wait_ms := services.faults.wait_ms(who.api_key):
        raise TooManyFaults(wait_ms)
    if who.restricted is not None and not cors.may_use(request, who.restricted):
        raise OriginNotAllowed
    return _Caller(who, secret.session)


def _asked(request: Request, caller: _Caller, model: str) -> Asked:
    """Raises NoModel, Unsupported."""
    realtime, first = for_websockets(request.tenant.config.providers.realtime)
    user = user_of_tenant(caller.who.tenant_id, caller.who.user_id)
    model = model or caller.session.get("model", "")
    if not model:
        endpoint = realtime.endpoints[first]
        if not endpoint.first_model:
            raise Unsupported("model", "model is required: the endpoint has none of its own")
        return Asked(first, endpoint, endpoint.first_model, user)
    found = realtime.find(model)
    if found is None:
        raise not_offered(model)
    name, known = found
    if realtime.protocols[name] != "openai":
        message = "Calls of this endpoint are made by POST /:tenantId/realtime/calls"
        raise _unsupported("model", message, "unsupported_parameter")
    return Asked(name, realtime.endpoints[name], known, user)


async def _open(request: Request, handshake: Handshake, caller: _Caller, asked: Asked) -> Session:
    services, connection, who = request.services, request.connection, caller.who
    ref: Ref = {**request.ref, "endpoint": asked.name}
    if asked.model in asked.endpoint.named_models:
        ref["model"] = asked.model[:_LONGEST_MODEL]
    held = await _count(request, who, asked, ref)
    up, down = _memory(request, who)
    upstream, created = await begin(services.upstream, asked, who.tenant_id, up)
    try:
        transport = connection.hand_over()
    except BaseException:
        upstream.close(1000)
        raise
    frames, answer = handshake.accept({"X-Request-ID": str(request.id), **held.rate.headers()})
    transport.write(answer)
    line = Line(transport, connection.connection_lost)
    client = Socket(line, frames, Nobody(), services.timeouts, down)
    client.pause()
    label = request.route.ctx.label if request.route else metrics.UNKNOWN_ROUTE
    metrics.request_answered(label, 101, monotonic() - connection._time)
    opening = Opening(
        who,
        request.tenant.config,
        asked.name,
        asked.endpoint,
        asked.model,
        ref,
        created,
        caller.session,
    )
    return Session(client, upstream, opening, services.holding, request.meter)


def _memory(request: Request, who: Who) -> tuple[Memory, Memory]:
    """Of the provider's end, and of the client's: what comes of one is sent to the other."""

    def room(of: Room) -> Callable[[int], bool]:
        return of.portion(who.tenant_id, who.user_id).resize

    requests, replies = request.services.request_room, request.services.reply_room
    return (
        Memory(received=room(replies), unsent=room(requests)),
        Memory(received=room(requests), unsent=room(replies)),
    )


async def _count(request: Request, who: Who, asked: Asked, ref: Ref) -> Held:
    """One request of the user's limit; and there must be something to speak with. Raises as
    Holding.hold."""
    least = in_tokens(asked.endpoint.weights(asked.model).of_prompt)
    rules = voice_rules(request.tenant.config, who.restricted, asked.name, asked.model)

    async def end() -> Ending:
        return Ending(0, ref)

    holding = request.services.holding
    async with holding.hold(request.meter(), who, least, least, ref, end, rules) as hold:
        return hold.held


def _unsupported(param: str, message: str, code: str) -> Unsupported:
    found = Unsupported(param, message)
    found.code = code
    return found
