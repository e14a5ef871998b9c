"""The end of each way to sign in: a verified identity is a user with an API key."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from server.amounts import Tokens
from server.blueprints.request import Request, reply
from server.blueprints.revocation import revocation
from server.blueprints.whole import whole
from server.errors import InvalidApiKey
from server.identity.errors import IdentityTaken, RecentLoginRequired
from server.identity.login_request import LoginRequest
from server.login_providers.identity import VerifiedIdentity
from server.openapi.values import ApiKey, Group, Time, UserId
from server.replies import JsonReply
from server.tenants.groups import RateLimit, RateLimitWindow

NO_STORE = {"cache-control": "no-store"}
REFUSALS_OF_LOGINS = [InvalidApiKey, RecentLoginRequired, IdentityTaken]
"""Each of `link` alone."""


class Profile(TypedDict):
    email: Annotated[str | None, Field(examples=["ada@example.com"])]
    emailVerified: Annotated[bool, Field(examples=[True])]
    name: Annotated[str | None, Field(examples=["Ada Lovelace"])]


class SignedIn(TypedDict):
    apiKey: ApiKey
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[1000])]
    rateLimit: Annotated[RateLimit, Field(examples=[50])]
    rateLimitWindow: Annotated[RateLimitWindow, Field(examples=[60])]
    userId: UserId
    group: Group
    expiresAt: Annotated[
        Time | None, Field(description="null: who has signed in is permanent", examples=[None])
    ]
    created: Annotated[bool, Field(description="a user was made", examples=[False])]
    linked: Annotated[bool, Field(description="the user got this identity now", examples=[True])]
    previousUserId: Annotated[
        str | None,
        Field(description="of the API key, a user that goes on beside this one", examples=[None]),
    ]
    profile: Annotated[Profile, Field(description="what the provider said this time")]


async def answer_sign_in(
    request: Request, identity: VerifiedIdentity, body: dict[str, Any]
) -> JsonReply[SignedIn]:
    """The login of a verified identity. `body` has `link` and `newKey`, if they are given. Raises
    REFUSALS_OF_LOGINS."""
    config = request.tenant.config
    group = config.login_group(identity.provider)
    assert group is not None
    login = await whole(
        request,
        request.services.ladder.login(
            LoginRequest(
                request.tenant.tenant_id,
                identity,
                group,
                config.user_groups.by_name[group],
                request.ref,
                request.api_key(),
                body.get("link", False),
                body.get("newKey", False),
                config.auth.keep_profile,
                revocation(request),
            )
        ),
    )
    return reply(
        {
            "apiKey": login.api_key,
            "tokensLeft": login.tokens_left,
            "rateLimit": login.rate_limit,
            "rateLimitWindow": login.rate_limit_window,
            "userId": login.user_id,
            "group": login.group,
            "expiresAt": None,
            "created": login.is_created,
            "linked": login.is_linked,
            "previousUserId": login.previous_user_id,
            "profile": {
                "email": identity.email,
                "emailVerified": identity.email_verified,
                "name": identity.name,
            },
        },
        headers=dict(NO_STORE),
    )
