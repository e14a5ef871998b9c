"""A sign-in by redirect comes back from its login provider, and goes on to the app.

Nothing that comes here says by itself who it is: the provider is asked what its code is for, and
the ID token that it answers with is verified as any other.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson
from sanic import Blueprint

from server.blueprints.redirecting import answer_doc, answers_browsers, callback_url, go_to
from server.blueprints.request import Request
from server.blueprints.sign_in import LONGEST_CODE
from server.errors import BadRequest, NotFound, Unavailable
from server.identity.errors import InvalidState, LoginNotConfigured
from server.identity.redirects import Redirect
from server.login_providers.errors import (
    InvalidIdToken,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.login_providers.identity import LONGEST_NAME, ProviderName, VerifiedIdentity
from server.login_providers.provider import Provider
from server.openapi.route import Doc
from server.openapi.values import TenantId
from server.replies import Reply
from server.tenants.redirects import may_go_back_to, with_answer

log = logging.getLogger(__name__)

blueprint = Blueprint("callback", url_prefix="/auth")

_ERRORS = {
    "access_denied": "access_denied",
    "user_cancelled_authorize": "access_denied",
    "temporarily_unavailable": "temporarily_unavailable",
}
"""Of the providers, with what the app is told."""
_REFUSALS = [InvalidState, NotFound, LoginNotConfigured]
_ABOUT = (
    "An address to register there: `<PUBLIC_URL>/<tenantId>/auth/{}/callback`. A `state` is good "
    "once, for 10 minutes; without a good one there is no way back to the app."
)


class _NotSignedIn(Exception):
    """`error` is for the app, in the words of OAuth."""

    def __init__(self, error: str) -> None:
        self.error = error


@blueprint.get(
    "/google/callback",
    ctx_doc=Doc(
        "Login",
        "Come back from Google",
        [answer_doc("to the app's `redirectUri`, with `code` or `error`, and the app's `state`")],
        about=_ABOUT.format("google"),
        refusals=_REFUSALS,
    ),
)
@answers_browsers("callback", "google")
async def come_back_from_google(request: Request, tenant_id: TenantId) -> Reply:
    url = callback_url(request, "google")
    given = request.read_query()
    redirect = await _take(request, "google", given)
    client, providers = request.tenant.config.auth.google_oauth, request.services.login_providers
    assert client is not None

    async def identify() -> VerifiedIdentity:
        code = await _code_of(providers.google, given)
        secrets = redirect.code_verifier, redirect.nonce
        return await providers.google.redeem(client, tenant_id, code, url, *secrets)

    return await _go_on(request, redirect, identify)


@blueprint.post(
    "/apple/callback",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Come back from Apple",
        [answer_doc("to the app's `redirectUri`, with `code` or `error`, and the app's `state`")],
        about=_ABOUT.format("apple") + " Apple's page posts a form, of 8 KiB at most.",
        refusals=_REFUSALS,
    ),
)
@answers_browsers("callback", "apple")
async def come_back_from_apple(request: Request, tenant_id: TenantId) -> Reply:
    # No look at the Origin: this one is a form of Apple's page.
    url = callback_url(request, "apple")
    given = await request.read_form()
    name = _name_of(given.get("user"))
    redirect = await _take(request, "apple", given)
    client, providers = request.tenant.config.auth.apple_oauth, request.services.login_providers
    assert client is not None

    async def identify() -> VerifiedIdentity:
        code = await _code_of(providers.apple, given)
        found = await providers.apple.redeem(client, tenant_id, code, url, redirect.nonce)
        return replace(found, name=name)

    return await _go_on(request, redirect, identify)


async def _take(request: Request, provider: ProviderName, given: dict[str, str]) -> Redirect:
    """What was begun. Raises InvalidState where none was, or its way back is closed by now."""
    tenant = request.tenant
    redirects = request.services.redirects
    redirect = await redirects.take(tenant.tenant_id, provider, given.get("state", ""))
    if not may_go_back_to(redirect.redirect_uri, tenant.config.auth.redirect_uris):
        raise InvalidState
    return redirect


async def _code_of(provider: Provider, given: dict[str, str]) -> str:
    """Raises _NotSignedIn, LoginProviderFailed."""
    # Who says that it is another one (RFC 9207) has a code that this one must not be asked about.
    issuer = given.get("iss")
    if issuer is not None and issuer not in (await provider.endpoints()).issuers:
        raise LoginProviderFailed("another issuer has sent the browser")
    error, code = given.get("error"), given.get("code", "")
    if error is not None:
        raise _NotSignedIn(_ERRORS.get(error, "server_error"))
    if not 0 < len(code) <= LONGEST_CODE:
        raise LoginProviderFailed("no code")
    return code


async def _go_on(
    request: Request, redirect: Redirect, identify: Callable[[], Awaitable[VerifiedIdentity]]
) -> Reply:
    """To the app, whatever comes of it."""
    services, tenant_id = request.services, request.tenant.tenant_id
    try:
        async with services.login_providers.in_time():
            identity = await identify()
        answer = {"code": await services.redirects.finish(tenant_id, redirect, identity)}
    except _NotSignedIn as found:
        answer = {"error": found.error}
    except (InvalidIdToken, LoginProviderFailed, Unavailable) as refusal:
        # Of a code that is made up whoever made it up is told enough.
        if refusal.reason != "invalid_grant":
            title = redirect.provider.title()
            log.warning("Tenant %s: no sign-in with %s: %s", tenant_id, title, refusal.reason)
        answer = {"error": _error_for(refusal)}
    url = with_answer(redirect.redirect_uri, {**answer, "state": redirect.app_state})
    return go_to(request, url, answer.get("error", "code"))


def _error_for(refusal: InvalidIdToken | LoginProviderFailed | Unavailable) -> str:
    if isinstance(refusal, LoginProviderTimeout | Unavailable):
        return "temporarily_unavailable"
    # A code of ours brings a token for us, so that the audience is the tenant's `hd`.
    return "access_denied" if refusal.reason == "audience" else "server_error"


def _name_of(user: str | None) -> str | None:
    """That Apple gives when somebody signs in for the first time; it vouches for none of it. Raises
    BadRequest."""
    if user is None:
        return None
    try:
        told = orjson.loads(user)
    except orjson.JSONDecodeError:
        raise BadRequest from None
    name = told.get("name") if isinstance(told, dict) else None
    parts = [name.get("firstName"), name.get("lastName")] if isinstance(name, dict) else []
    whole = " ".join(part for part in parts if isinstance(part, str))
    return whole.strip()[:LONGEST_NAME] or None
