"""What Apple's servers tell of accounts that have signed in here."""

from typing import Annotated, Literal

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.body import KIB
from server.blueprints.request import Request, refuse, reply
from server.blueprints.sign_in import MOST_BYTES
from server.blueprints.whole import whole
from server.identity.errors import LoginNotConfigured
from server.login_providers.errors import (
    InvalidNotification,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.replies import JsonReply

blueprint = Blueprint("apple_notices", url_prefix="/auth/apple")


class Notice(TypedDict):
    payload: Annotated[
        str, Field(min_length=1, description="a JWT of Apple's", examples=["eyJhbGc"])
    ]


class Received(TypedDict):
    received: Literal[True]


@blueprint.post(
    "/notifications",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Hear what Apple tells of accounts",
        [Answer("it is heeded, or is of no interest")],
        about="For Apple's servers: the Server-to-Server Notification Endpoint of an app group. "
        "Who has revoked its consent loses all API keys, and is the same user when it signs in "
        "again. Of whose Apple account is deleted the identity goes, and the user if it has no "
        "other. What is older than the last login with that account changes nothing. At most "
        f"{MOST_BYTES // KIB} KiB.",
        body=Notice,
        refusals=[
            InvalidNotification,
            LoginNotConfigured,
            LoginProviderFailed,
            LoginProviderTimeout,
        ],
    ),
)
async def hear(request: Request, tenant_id: TenantId) -> JsonReply[Received]:
    services, client = request.services, request.tenant.config.auth.apple_oauth
    if client is None or client.client_id is None:
        raise LoginNotConfigured
    body = await request.read_object(Notice, MOST_BYTES)
    payload = body.get("payload")
    if not isinstance(payload, str):
        refuse({"path": "payload", "message": "must be a text"})
    async with services.login_providers.in_time():
        event = await services.login_providers.apple.read_notification(client, payload)
    if event is not None:
        await whole(request, services.apple_notices.heed(tenant_id, event))
    return reply({"received": True})
