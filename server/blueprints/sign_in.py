"""Signing in by an ID token that the app has from a login provider."""

from dataclasses import replace
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, with_config
from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.admission import (
    STRICT,
    Choices,
    answers_for,
    check_origin,
    count,
    read_checked,
)
from server.blueprints.body import KIB
from server.blueprints.request import Request
from server.blueprints.signed_in import REFUSALS_OF_LOGINS, SignedIn, answer_sign_in
from server.errors import (
    OriginNotAllowed,
    RedisNearlyFull,
    TooManyRequests,
)
from server.identity.errors import LoginNotConfigured
from server.login_providers.claims import nonces_of
from server.login_providers.errors import (
    InvalidIdToken,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.login_providers.identity import LONGEST_NAME, ProviderName
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.replies import JsonReply

blueprint = Blueprint("sign_in", url_prefix="/auth")

MOST_BYTES = 32 * KIB
"""Of a body: twice the largest ID token."""
LONGEST_NONCE = 500
LONGEST_CODE = 2_000
NONCE = "n-0S6_WzA2Mj"
"""Of the examples."""


@with_config(STRICT)
class SignIn(Choices, TypedDict):
    idToken: Annotated[
        str,
        Field(min_length=1, description="from the provider's SDK or button", examples=["eyJhbGc"]),
    ]
    nonce: NotRequired[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=LONGEST_NONCE,
                description="that the app has asked for; the token must have it, or its SHA-256 in "
                "lower-case hexadecimal",
                examples=[NONCE],
            ),
        ]
    ]


@with_config(STRICT)
class AppleSignIn(SignIn):
    authorizationCode: NotRequired[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=LONGEST_CODE,
                description="that came with the token; it lets a later deletion revoke Apple's own",
                examples=["c6e8b1f2a"],
            ),
        ]
    ]
    name: NotRequired[
        Annotated[
            str,
            Field(
                max_length=LONGEST_NAME,
                description="which Apple tells the app, once",
                examples=["Ada Lovelace"],
            ),
        ]
    ]


_SHAPES: dict[ProviderName, tuple[Any, TypeAdapter[Any]]] = {
    "google": (SignIn, TypeAdapter(SignIn)),
    "apple": (AppleSignIn, TypeAdapter(AppleSignIn)),
}
_ABOUT = (
    "The ID token is verified: who has signed it, when, for which of the tenant's client IDs and "
    "with which nonce. Limited per tenant and client address."
)
_REFUSALS = [
    *REFUSALS_OF_LOGINS,
    LoginNotConfigured,
    OriginNotAllowed,
    InvalidIdToken,
    TooManyRequests,
    RedisNearlyFull,
    LoginProviderFailed,
    LoginProviderTimeout,
]


@blueprint.post(
    "/google",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Sign in with Google",
        [Answer("the user, with an API key")],
        about=_ABOUT,
        body=SignIn,
        refusals=_REFUSALS,
    ),
)
@answers_for("google")
async def sign_in_with_google(request: Request, tenant_id: TenantId) -> JsonReply[SignedIn]:
    body = await _begin(request, "google")
    auth, providers = request.tenant.config.auth, request.services.login_providers
    client = auth.google_oauth
    assert client is not None
    async with providers.in_time():
        nonces = nonces_of(body.get("nonce"), auth.require_nonce)
        identity = await providers.google.verify(client, body["idToken"], nonces)
    return await answer_sign_in(request, identity, body)


@blueprint.post(
    "/apple",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Sign in with Apple",
        [Answer("the user, with an API key")],
        about=_ABOUT,
        body=AppleSignIn,
        refusals=_REFUSALS,
    ),
)
@answers_for("apple")
async def sign_in_with_apple(request: Request, tenant_id: TenantId) -> JsonReply[SignedIn]:
    body = await _begin(request, "apple")
    auth, providers = request.tenant.config.auth, request.services.login_providers
    client, code = auth.apple_oauth, body.get("authorizationCode")
    assert client is not None
    async with providers.in_time():
        nonces = nonces_of(body.get("nonce"), auth.require_nonce)
        identity = await providers.apple.verify(client, body["idToken"], nonces)
        if code is not None:
            identity = await providers.apple.with_refresh_token(client, tenant_id, identity, code)
    return await answer_sign_in(request, replace(identity, name=body.get("name") or None), body)


async def _begin(request: Request, provider: ProviderName) -> dict[str, Any]:
    """The body, once all has been looked at that takes little. Raises the refusals of the route."""
    check_origin(request)
    if request.tenant.config.login_group(provider) is None:
        raise LoginNotConfigured
    await count(request)
    return await read_checked(request, *_SHAPES[provider], MOST_BYTES)
