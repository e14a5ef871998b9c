"""Metering: what a user spends."""

from typing import Annotated, NotRequired

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server import metrics
from server.amounts import Tokens
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import IDEMPOTENCY_KEY, Request, amount, refuse, reply
from server.errors import KeyReused, TenantLimited, TooManyRequests, UnknownHold
from server.metering.errors import PaymentRequired
from server.metering.meter import HOLD_ID
from server.metering.results import iso_time
from server.openapi.headers import RATE
from server.openapi.route import Answer, Doc
from server.openapi.values import HoldId, TenantId, Time
from server.replies import JsonReply

blueprint = Blueprint("metering")

USUAL_CHARGE = 1
USUAL_HOLD_SECONDS = 60
LONGEST_HOLD_SECONDS = 3600

_REPLAYABLE = (*RATE, "Idempotent-Replayed")


class Charge(TypedDict):
    tokens: NotRequired[
        Annotated[
            Tokens,
            Field(
                ge=1,
                description="to take",
                examples=[5],
                json_schema_extra={"default": USUAL_CHARGE},
            ),
        ]
    ]


class Charged(TypedDict):
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[95])]


@blueprint.post(
    "/charges",
    stream=True,
    ctx_doc=Doc(
        "Metering",
        "Take tokens, when the cost is known",
        [Answer("they are taken", headers=_REPLAYABLE)],
        about=f"All or nothing. Without a body: {USUAL_CHARGE} token.",
        credential="user",
        parameters=[IDEMPOTENCY_KEY],
        body=Charge,
        body_required=False,
        refusals=[PaymentRequired, KeyReused, TooManyRequests, TenantLimited],
        rated=True,
    ),
)
@counts_refusals(metrics.charge_answered)
async def charge(request: Request, tenant_id: TenantId) -> JsonReply[Charged]:
    who = await request.who()
    idempotency_key = request.idempotency_key()
    body = await request.read_object(Charge)
    tokens = amount(body.get("tokens", USUAL_CHARGE), "tokens", least=1)
    charged = await request.meter().charge(who, tokens, request.ref, idempotency_key)
    headers = charged.rate.headers()
    if charged.replayed:
        headers["idempotent-replayed"] = "true"
        metrics.charge_answered(tenant_id, "replayed")
    else:
        metrics.charge_answered(tenant_id, "charged", tokens)
    return reply({"tokensLeft": charged.tokens_left}, headers=headers)


class NewHold(TypedDict):
    tokens: Annotated[
        Tokens, Field(ge=1, description="to hold, or what is left of them", examples=[50])
    ]
    minimum: NotRequired[
        Annotated[
            Tokens,
            Field(ge=1, description="refuse to hold less; default: `tokens`", examples=[10]),
        ]
    ]
    ttl: NotRequired[
        Annotated[
            int,
            Field(
                ge=1,
                le=LONGEST_HOLD_SECONDS,
                description="seconds to the deadline",
                examples=[60],
                json_schema_extra={"default": USUAL_HOLD_SECONDS},
            ),
        ]
    ]


class Hold(TypedDict):
    holdId: HoldId
    tokens: Annotated[Tokens, Field(ge=1, description="what is held", examples=[50])]
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[50])]
    expiresAt: Annotated[
        Time, Field(description="the deadline", examples=["2025-01-31T12:01:00.000Z"])
    ]


@blueprint.post(
    "/holds",
    stream=True,
    ctx_doc=Doc(
        "Metering",
        "Set tokens aside, before a call whose cost is not known yet",
        [Answer("they are held", status=201, headers=_REPLAYABLE)],
        about="A hold that is not settled goes back at its deadline. More than 50 open: 429.",
        credential="user",
        parameters=[IDEMPOTENCY_KEY],
        body=NewHold,
        refusals=[PaymentRequired, KeyReused, TooManyRequests, TenantLimited],
        rated=True,
    ),
)
@counts_refusals(metrics.hold_answered)
async def hold(request: Request, tenant_id: TenantId) -> JsonReply[Hold]:
    who = await request.who()
    idempotency_key = request.idempotency_key()
    body = await request.read_object(NewHold)
    tokens = amount(body.get("tokens"), "tokens", least=1)
    minimum = amount(body.get("minimum", tokens), "minimum", least=1)
    if minimum > tokens:
        refuse({"path": "minimum", "message": "must not exceed tokens"})
    ttl = body.get("ttl", USUAL_HOLD_SECONDS)
    if type(ttl) is not int or not 1 <= ttl <= LONGEST_HOLD_SECONDS:
        message = f"must be an integer from 1 to {LONGEST_HOLD_SECONDS} (seconds)"
        refuse({"path": "ttl", "message": message})
    held = await request.meter().hold(
        who, tokens, minimum, ttl * 1000, "api", request.ref, idempotency_key
    )
    headers = held.rate.headers()
    if held.replayed:
        headers["idempotent-replayed"] = "true"
    metrics.hold_answered(tenant_id, "replayed" if held.replayed else "held")
    answer: Hold = {
        "holdId": held.hold_id,
        "tokens": held.tokens,
        "tokensLeft": held.tokens_left,
        "expiresAt": iso_time(held.deadline_ms),
    }
    return reply(answer, 201, headers)


class Settle(TypedDict):
    tokens: Annotated[
        Tokens, Field(description="the true cost; 0 releases the hold", examples=[31])
    ]


class Settled(TypedDict):
    tokens: Annotated[Tokens, Field(description="what was taken", examples=[31])]
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[69])]


@blueprint.post(
    "/holds/<hold_id>/settle",
    stream=True,
    ctx_doc=Doc(
        "Metering",
        "Replace a hold by the true cost",
        [Answer("it is settled")],
        about="The rest goes back; what exceeds the hold is taken from the balance. Settled "
        "again within an hour, with whatever amount: the first reply (of an anonymous user's "
        "last 50 settles).",
        credential="user",
        body=Settle,
        refusals=[UnknownHold],
    ),
)
@counts_refusals(metrics.settle_answered)
async def settle(request: Request, tenant_id: TenantId, hold_id: HoldId) -> JsonReply[Settled]:
    who = await request.who()
    if not HOLD_ID.fullmatch(hold_id):
        raise UnknownHold
    body = await request.read_object(Settle)
    tokens = amount(body.get("tokens"), "tokens", least=0)
    settled = await request.meter().settle(who, hold_id, tokens, "api", request.ref)
    if settled.replayed:
        metrics.settle_answered(tenant_id, "replayed")
    else:
        request.services.holding.waiting.wake(who.user_id)
        metrics.settle_answered(tenant_id, "settled", settled.tokens)
        if tokens > settled.tokens:
            metrics.overrun(tenant_id, tokens - settled.tokens)
    return reply({"tokens": settled.tokens, "tokensLeft": settled.tokens_left})
