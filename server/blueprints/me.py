"""The user itself: its identities and API keys, and its end."""

from typing import Annotated, NotRequired

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server.billing.errors import BillingFailed, BillingTimeout
from server.blueprints.client_address import client_network
from server.blueprints.request import Request, refuse, reply
from server.blueprints.revocation import revocation
from server.blueprints.sign_in import LONGEST_CODE
from server.blueprints.signed_in import NO_STORE
from server.blueprints.whole import whole
from server.errors import TooManyRequests
from server.identity.errors import RecentLoginRequired
from server.login_providers.identity import LONGEST_EMAIL, LONGEST_NAME, ProviderName
from server.metering.results import iso_time
from server.openapi.route import Answer, Doc
from server.openapi.values import ApiKey, Group, TenantId, Time, UserId
from server.replies import JsonReply, Reply

blueprint = Blueprint("me", url_prefix="/auth")


class LinkedIdentity(TypedDict):
    provider: Annotated[ProviderName, Field(examples=["google"])]
    linkedAt: Annotated[Time, Field(examples=["2025-01-31T12:00:00.000Z"])]


class Me(TypedDict):
    userId: UserId
    group: Group
    identities: Annotated[
        list[LinkedIdentity],
        Field(description="that the user signs in with, the oldest first; none: anonymous"),
    ]
    email: Annotated[
        str | None,
        Field(
            max_length=LONGEST_EMAIL,
            description="as the login provider last said; null where it did not, or the tenant "
            "keeps none",
            examples=["ada@example.com"],
        ),
    ]
    name: Annotated[
        str | None,
        Field(max_length=LONGEST_NAME, description="likewise", examples=["Ada Lovelace"]),
    ]
    keys: Annotated[
        int, Field(ge=1, le=100, description="API keys that the user has", examples=[2])
    ]


class Rotated(TypedDict):
    apiKey: ApiKey
    oldKeyExpiresAt: Annotated[
        Time,
        Field(description="until then the old one works", examples=["2025-01-31T12:05:00.000Z"]),
    ]


class LogOut(TypedDict):
    everywhere: NotRequired[
        Annotated[
            bool,
            Field(
                description="end all of the user's keys, the restricted ones too",
                examples=[False],
                json_schema_extra={"default": False},
            ),
        ]
    ]


class DeleteMe(TypedDict):
    authorizationCode: NotRequired[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=LONGEST_CODE,
                description="of a sign-in with Apple just now, for a user that never sent one: so "
                "that Apple's token can be revoked",
                examples=["c6e8b1f2a"],
            ),
        ]
    ]


@blueprint.get(
    "/me",
    ctx_doc=Doc(
        "Login",
        "Who the user is",
        [Answer("the user, its identities and what is kept of its profile")],
        credential="user",
    ),
)
async def read_me(request: Request, tenant_id: TenantId) -> JsonReply[Me]:
    who = await request.who()
    me = await request.services.sessions.me(who)
    linked = sorted(me.account.identities.items(), key=lambda item: item[1])
    return reply(
        {
            "userId": who.user_id,
            "group": me.group,
            "identities": [
                {"provider": _provider(identity), "linkedAt": iso_time(times.at_ms)}
                for identity, times in linked
            ],
            "email": me.account.known.get("email"),
            "name": me.account.known.get("name"),
            "keys": me.keys,
        },
        headers=dict(NO_STORE),
    )


def _provider(identity: str) -> ProviderName:
    return "google" if identity.startswith("google:") else "apple"


@blueprint.post(
    "/rotate",
    ctx_doc=Doc(
        "Login",
        "Replace the API key",
        [Answer("the new key, of the same user")],
        about="The old one works for 300 s more, so that a lost reply locks nobody out. Limited as "
        "logins are.",
        credential="user",
        refusals=[TooManyRequests],
    ),
)
async def rotate(request: Request, tenant_id: TenantId) -> JsonReply[Rotated]:
    services, who = request.services, await request.who()
    client = client_network(request, services.settings)
    await services.login_limits.count_sign_in(tenant_id, client)
    rotated = await whole(request, services.sessions.rotate(who))
    return reply(
        {"apiKey": rotated.api_key, "oldKeyExpiresAt": iso_time(rotated.old_expires_at_ms)},
        headers=dict(NO_STORE),
    )


@blueprint.post(
    "/logout",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "End the API key",
        [Answer("it is refused from now on", status=204)],
        about="With it end the restricted keys that were made with it. A user without an identity "
        "has no other way in: its balance is lost.",
        credential="user",
        body=LogOut,
    ),
)
async def log_out(request: Request, tenant_id: TenantId) -> Reply:
    who = await request.who()
    body = await request.read_object(LogOut)
    everywhere = body.get("everywhere", False)
    if not isinstance(everywhere, bool):
        refuse({"path": "everywhere", "message": "must be true or false"})
    await whole(request, request.services.sessions.log_out(who, everywhere))
    return Reply(status=204)


@blueprint.delete(
    "/me",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Delete the user",
        [Answer("the user is gone, and its keys, balance and ledger with it", status=204)],
        about="Its keys are refused at once. If the user has an identity, a login within the last "
        "hour must have come with this key, or have been answered with it. What it subscribes to "
        "ends first, which is one request of the rate limit; if Stripe fails at that, nothing is "
        "deleted. Who signs in with the identity again is a new user, without free tokens.",
        credential="user",
        body=DeleteMe,
        refusals=[RecentLoginRequired, BillingFailed, BillingTimeout, TooManyRequests],
    ),
)
async def delete_me(request: Request, tenant_id: TenantId) -> Reply:
    who = await request.who()
    body = await request.read_object(DeleteMe)
    code = body.get("authorizationCode")
    is_good = isinstance(code, str) and 0 < len(code) <= LONGEST_CODE
    if "authorizationCode" in body and not is_good:
        message = f"must be a text of 1 to {LONGEST_CODE} characters"
        refuse({"path": "authorizationCode", "message": message})
    with request.services.places.place(tenant_id):
        await request.services.billing.end(request.tenant, who)
    deletion = request.services.deletion
    await whole(request, deletion.delete(who, revocation(request, code)))
    return Reply(status=204)
