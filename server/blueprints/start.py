"""A sign-in by redirect begins: from the app's page to the login provider's."""

import re
from typing import Annotated

from pydantic import Field
from sanic import Blueprint

from server.blueprints.admission import check_origin, count
from server.blueprints.redirecting import answer_doc, answers_browsers, callback_url, go_to
from server.blueprints.request import Request, refuse
from server.errors import (
    Detail,
    Invalid,
    NotFound,
    OriginNotAllowed,
    RedisNearlyFull,
    TooManyRequests,
)
from server.identity.errors import LoginNotConfigured
from server.identity.redirects import Redirect, begun
from server.login_providers.errors import LoginProviderFailed, LoginProviderTimeout
from server.login_providers.identity import ProviderName
from server.login_providers.pkce import CHALLENGE
from server.openapi.route import Doc, Parameter
from server.openapi.values import TenantId, exactly
from server.replies import Reply
from server.tenants.redirects import LONGEST_REDIRECT, may_go_back_to

blueprint = Blueprint("start", url_prefix="/auth")

LONGEST_STATE = 512
_STATE = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_STATE}}}")
_ABOUT = (
    "For the address bar of a browser, not for a request of a page. Comes back to `redirectUri` "
    "with `state`, and with a `code` for `auth/exchange` or an `error`: `access_denied` (the "
    "person does not agree, or is not of the tenant's `hd`), `temporarily_unavailable` or "
    "`server_error`. Needs the server's `PUBLIC_URL`. Limited as other sign-ins."
)
_PARAMETERS = [
    Parameter(
        "redirectUri",
        "query",
        Annotated[
            str,
            Field(
                max_length=LONGEST_REDIRECT,
                description="where to come back to: one of the tenant's `auth.redirect_uris`, "
                "letter by letter; of http at 127.0.0.1 or [::1] one that is listed without a port "
                "is for any port",
                examples=["https://app.example.com/signed-in"],
            ),
        ],
        required=True,
    ),
    Parameter(
        "codeChallenge",
        "query",
        Annotated[
            str,
            Field(
                pattern=exactly(CHALLENGE),
                description="the SHA-256, in base64url, of the verifier that the app keeps",
                examples=["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
            ),
        ],
        required=True,
    ),
    Parameter(
        "state",
        "query",
        Annotated[
            str,
            Field(
                pattern=exactly(_STATE),
                description="comes back as it is, so that the app knows what it has begun",
                examples=["af0ifjsldkj"],
            ),
        ],
        required=True,
    ),
]
_REFUSALS = [
    OriginNotAllowed,
    NotFound,
    LoginNotConfigured,
    Invalid,
    TooManyRequests,
    RedisNearlyFull,
    LoginProviderFailed,
    LoginProviderTimeout,
]


@blueprint.get(
    "/google/start",
    ctx_doc=Doc(
        "Login",
        "Go to Google and sign in there",
        [answer_doc("to Google's page")],
        about=_ABOUT,
        parameters=_PARAMETERS,
        refusals=_REFUSALS,
    ),
)
@answers_browsers("start", "google")
async def start_with_google(request: Request, tenant_id: TenantId) -> Reply:
    url, providers = callback_url(request, "google"), request.services.login_providers
    state, redirect = await _begin(request, "google")
    client = request.tenant.config.auth.google_oauth
    assert client is not None
    async with providers.in_time():
        secrets = redirect.nonce, redirect.code_verifier
        page = await providers.google.page(client, url, state, *secrets)
    await request.services.redirects.keep(tenant_id, state, redirect)
    return go_to(request, page, "sent")


@blueprint.get(
    "/apple/start",
    ctx_doc=Doc(
        "Login",
        "Go to Apple and sign in there",
        [answer_doc("to Apple's page")],
        about=_ABOUT,
        parameters=_PARAMETERS,
        refusals=_REFUSALS,
    ),
)
@answers_browsers("start", "apple")
async def start_with_apple(request: Request, tenant_id: TenantId) -> Reply:
    url, providers = callback_url(request, "apple"), request.services.login_providers
    state, redirect = await _begin(request, "apple")
    client = request.tenant.config.auth.apple_oauth
    assert client is not None
    async with providers.in_time():
        page = await providers.apple.page(client, url, state, redirect.nonce)
    await request.services.redirects.keep(tenant_id, state, redirect)
    return go_to(request, page, "sent")


async def _begin(request: Request, provider: ProviderName) -> tuple[str, Redirect]:
    """What is to be kept, and the state that it is kept by. Raises Refusal."""
    check_origin(request)
    given = request.read_query()
    redirect_uri, state = given.get("redirectUri", ""), given.get("state", "")
    challenge = given.get("codeChallenge", "")
    faults = []
    if not may_go_back_to(redirect_uri, request.tenant.config.auth.redirect_uris):
        faults.append(Detail(path="redirectUri", message="is not one of auth.redirect_uris"))
    if not CHALLENGE.fullmatch(challenge):
        message = "must be a SHA-256 in base64url, which has 43 characters"
        faults.append(Detail(path="codeChallenge", message=message))
    if not _STATE.fullmatch(state):
        message = f"must be 1 to {LONGEST_STATE} visible ASCII characters"
        faults.append(Detail(path="state", message=message))
    if faults:
        refuse(*faults)
    await count(request)
    return begun(provider, redirect_uri, state, challenge)
