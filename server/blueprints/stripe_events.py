"""Stripe's events."""

from time import time
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from sanic import Blueprint
from typing_extensions import TypedDict

from server.billing.errors import BillingNotConfigured, InvalidSignature, NotApplied
from server.blueprints import body
from server.blueprints.metrics import counts_refusals
from server.blueprints.request import Request, reply
from server.metrics.billing import stripe_event_answered
from server.openapi.route import Answer, Doc, Parameter
from server.openapi.values import TenantId
from server.replies import JsonReply

blueprint = Blueprint("stripe_events", url_prefix="/stripe")

OF_EVENTS = body.Bounds(256 * body.KIB, 10_000, 128)

_SIGNATURE = Parameter(
    "Stripe-Signature",
    "header",
    Annotated[
        str,
        Field(
            description="the time, and for each secret the HMAC-SHA256 of time and body",
            examples=[
                "t=1795390000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
            ],
        ),
    ],
)


@with_config(
    ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"id": "evt_1", "type": "invoice.paid"}]}
    )
)
class Event(TypedDict):
    id: str
    type: str


class Received(TypedDict):
    received: Literal[True]


@blueprint.post(
    "/webhook",
    stream=True,
    ctx_doc=Doc(
        "Billing",
        "An event of Stripe's",
        [Answer("it is taken, or is none of ours")],
        about="For Stripe alone, at most 256 KiB. Of an event counts what it is about: that is "
        "asked for, so that events may come again, late and in any order.",
        parameters=[_SIGNATURE],
        body=Event,
        refusals=[BillingNotConfigured, InvalidSignature, NotApplied],
    ),
)
@counts_refusals(stripe_event_answered)
async def take_event(request: Request, tenant_id: TenantId) -> JsonReply[Received]:
    services, now, sender = request.services, time(), request.sender
    services.billing.webhook_secrets(request.tenant)  # else nothing of it is read
    signatures = request.headers.getall("stripe-signature", [])
    with services.request_room.portion(sender.tenant_id, sender.user_id) as portion:
        text = bytes(await body.read(request.http, OF_EVENTS, portion))
        signature = signatures[0] if len(signatures) == 1 else ""
        with services.places.place(tenant_id):
            outcome = await services.billing.take_event(request.tenant, text, signature, now)
    stripe_event_answered(tenant_id, outcome)
    return reply({"received": True})
