"""A sign-in by redirect ends: the app's code and its verifier are an API key."""

from typing import Annotated, Any

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
from server.blueprints.body import SMALL_BYTES
from server.blueprints.request import Request
from server.blueprints.signed_in import REFUSALS_OF_LOGINS, SignedIn, answer_sign_in
from server.errors import OriginNotAllowed, RedisNearlyFull, TooManyRequests
from server.identity.errors import InvalidCode, LoginNotConfigured
from server.login_providers.pkce import VERIFIER
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId, exactly
from server.replies import JsonReply

blueprint = Blueprint("exchange", url_prefix="/auth")


@with_config(STRICT)
class Exchange(Choices, TypedDict):
    code: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="that came back with the browser",
            examples=["Xq3vI0bT9yWm2cK8rJ5dE7hN4aS6uLpZo1fGgHtYxVw"],
        ),
    ]
    codeVerifier: Annotated[
        str,
        Field(
            pattern=exactly(VERIFIER),
            description="of which the `codeChallenge` was made",
            examples=["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"],
        ),
    ]


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Exchange)


@blueprint.post(
    "/exchange",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Exchange the code of a redirect",
        [Answer("the user, with an API key")],
        about="A code is good once, for 60 s and with its verifier: a wrong one ends it. The API "
        "key of an anonymous user, sent with it, makes that user the account. Limited per tenant "
        "and client address.",
        body=Exchange,
        refusals=[
            *REFUSALS_OF_LOGINS,
            InvalidCode,
            LoginNotConfigured,
            OriginNotAllowed,
            TooManyRequests,
            RedisNearlyFull,
        ],
    ),
)
@answers_for(None)
async def exchange_code(request: Request, tenant_id: TenantId) -> JsonReply[SignedIn]:
    check_origin(request)
    await count(request)
    body = await read_checked(request, Exchange, _ADAPTER, SMALL_BYTES)
    redirects = request.services.redirects
    identity = await redirects.exchange(tenant_id, body["code"], body["codeVerifier"])
    request.ctx.login_provider = identity.provider
    if request.tenant.config.login_group(identity.provider) is None:
        raise LoginNotConfigured
    return await answer_sign_in(request, identity, body)
