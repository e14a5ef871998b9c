"""Calls by voice that a provider bills by time: made, looked at and hung up."""

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from sanic import Blueprint
from typing_extensions import TypedDict

from server.amounts import LARGEST, Tokens
from server.blueprints.admission import read_checked
from server.blueprints.body import OF_OTHERS
from server.blueprints.request import Request, reply
from server.blueprints.signed_in import NO_STORE
from server.errors import NoModel, NotFound, Refusal, TenantLimited, TooManyRequests, Unsupported
from server.metering.errors import NotAllowed, PaymentRequired, TokensHeld, TooManyCalls
from server.metering.results import iso_time
from server.openapi.headers import RATE
from server.openapi.route import Answer, Doc
from server.openapi.values import CallId, TenantId, Time
from server.providers.errors import OF_PROVIDERS
from server.replies import JsonReply, Reply
from server.timed.calls import Asked, View
from server.timed.options import NewCall

blueprint = Blueprint("calls", url_prefix="/realtime")

_NEW_CALL: TypeAdapter[Any] = TypeAdapter(NewCall)


Token = Annotated[
    str, Field(description="that Ultravox was told, for this call", examples=["Xq3vI0bT9yWm2cK8"])
]


class MadeCall(TypedDict):
    callId: CallId
    joinUrl: Annotated[
        str, Field(description="a secret, good for this call", examples=["wss://voice.example/1"])
    ]
    maxSeconds: Annotated[
        int, Field(ge=1, le=86_400, description="that it may last", examples=[300])
    ]
    tokensHeld: Annotated[Tokens, Field(ge=1, description="for it", examples=[3120])]
    sampleRate: Annotated[int, Field(description="of audio by WebSocket", examples=[48000])]
    encoding: Annotated[str, Field(description="likewise", examples=["pcm_s16le"])]
    expiresAt: Annotated[
        Time,
        Field(description="until then it may be joined", examples=["2025-01-31T12:00:30.000Z"]),
    ]


class Call(TypedDict):
    callId: CallId
    status: Annotated[Literal["created", "joined", "ended", "settled"], Field(examples=["joined"])]
    seconds: Annotated[int, Field(ge=0, le=LARGEST, description="used until now", examples=[42])]
    tokens: Annotated[
        Tokens, Field(description="what they cost; taken, if settled", examples=[420])
    ]


@blueprint.post(
    "/calls",
    stream=True,
    ctx_doc=Doc(
        "Gateway",
        "Make a call by voice",
        [Answer("the call, to be joined by Ultravox's SDKs", status=201, headers=RATE)],
        about="Tokens are held for the seconds that it may last, which are cut to what the balance "
        "affords, 30 at least; it is settled to what Ultravox bills. Nobody pays for a call that "
        "was not joined. Sent twice it makes two.",
        credential="any key",
        body=NewCall,
        body_required=False,
        refusals=[
            *(Unsupported, NotAllowed, NoModel, PaymentRequired),
            *(TooManyRequests, TooManyCalls, TenantLimited, TokensHeld),
            *OF_PROVIDERS,
        ],
        rated=True,
    ),
)
async def make_call(request: Request, tenant_id: TenantId) -> JsonReply[MadeCall]:
    who = await request.who(any_key=True)
    options = await read_checked(request, NewCall, _NEW_CALL, OF_OTHERS.size)
    asked = Asked(options.pop("endpoint", ""), options.pop("maxSeconds", 0), options)
    services = request.services
    with services.places.place(tenant_id):
        opened = await services.calls.make(request.tenant, who, request.meter(), asked, request.ref)
    made, endpoint, record, held = opened
    answer: MadeCall = {
        "callId": made.call_id,
        "joinUrl": made.join_url,
        "maxSeconds": record.seconds,
        "tokensHeld": held.tokens,
        "sampleRate": endpoint.sample_rate,
        "encoding": endpoint.encoding,
        "expiresAt": iso_time(record.created_ms + record.join_seconds * 1000),
    }
    return reply(answer, 201, {**held.rate.headers(), **NO_STORE})


@blueprint.get(
    "/calls/<call_id>",
    ctx_doc=Doc(
        "Gateway",
        "How a call by voice stands",
        [Answer("the call")],
        about="Ultravox is asked every 5 s at most. For a day after it was settled; a restricted "
        "key sees the calls that it has made.",
        credential="any key",
        refusals=[NotFound],
    ),
)
async def see_call(request: Request, tenant_id: TenantId, call_id: CallId) -> JsonReply[Call]:
    who = await request.who(any_key=True)
    await request.services.accounts.balance(who)  # raises, if the key is no more
    return reply(_describe(call_id, await request.services.calls.see(who, call_id)))


@blueprint.delete(
    "/calls/<call_id>",
    ctx_doc=Doc(
        "Gateway",
        "Hang up a call by voice",
        [Answer("it is hung up, and settled when it is billed", status=202)],
        about="Ultravox is asked every 5 s at most.",
        credential="any key",
        refusals=[NotFound, TooManyRequests, *OF_PROVIDERS],
    ),
)
async def hang_up_call(request: Request, tenant_id: TenantId, call_id: CallId) -> JsonReply[Call]:
    who = await request.who(any_key=True)
    await request.services.accounts.balance(who)
    return reply(_describe(call_id, await request.services.calls.hang_up(who, call_id)), 202)


@blueprint.post(
    "/callbacks/<token>",
    ctx_doc=Doc(
        "Gateway",
        "Hear that a call by voice has changed",
        [Answer("always", status=204)],
        about="For Ultravox's servers. What it says is not heeded: Ultravox is asked.",
    ),
)
async def hear_of_call(request: Request, tenant_id: TenantId, token: Token) -> Reply:
    with suppress(Refusal):
        await request.services.calls.heed(tenant_id, token)
    return Reply(status=204)


def _describe(call_id: str, view: View) -> Call:
    status: Any = view.status
    return {"callId": call_id, "status": status, "seconds": view.seconds, "tokens": view.tokens}
