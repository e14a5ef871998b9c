"""Client secrets: for an API key a page gets one, to begin sessions of voice with."""

from secrets import token_hex
from typing import Annotated, Any, Literal, NotRequired, cast

import orjson
from pydantic import ConfigDict, Field, with_config
from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.body import KIB
from server.blueprints.request import Request, reply
from server.blueprints.signed_in import NO_STORE
from server.errors import NoModel, TooManyRequests, Unsupported
from server.identity.client_secrets import SECRET
from server.identity.errors import TooManyClientSecrets
from server.metering.errors import NotAllowed, PaymentRequired
from server.metering.voice_rules import check_voice
from server.openapi.headers import RATE
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId, exactly
from server.replies import JsonReply
from server.structure import is_too_deep
from server.tenants.endpoints import RealtimeEndpoints, for_websockets, not_offered
from server.voice.config import OF_SESSION
from server.voice.config import check as check_session

blueprint = Blueprint("client_secrets", url_prefix="/v1")

LEAST_SECONDS, MOST_SECONDS, USUAL_SECONDS = 10, 7_200, 600
SESSION_BYTES = 16_000
"""Of a session's config as JSON, which waits in Redis."""
_BODY_BYTES = 64 * KIB
_OPEN_ENDED = ConfigDict(json_schema_extra={"additionalProperties": True})


class ExpiresAfter(TypedDict):
    anchor: NotRequired[Literal["created_at"]]
    seconds: NotRequired[
        Annotated[
            int,
            Field(
                ge=LEAST_SECONDS,
                le=MOST_SECONDS,
                examples=[600],
                json_schema_extra={"default": USUAL_SECONDS},
            ),
        ]
    ]


@with_config(_OPEN_ENDED)
class SessionConfig(TypedDict):
    type: NotRequired[Literal["realtime"]]
    model: NotRequired[
        Annotated[str, Field(description="what to ask for", examples=["gpt-realtime-2.1"])]
    ]


class NewClientSecret(TypedDict):
    expires_after: NotRequired[ExpiresAfter]
    session: NotRequired[SessionConfig]


@with_config(_OPEN_ENDED)
class MadeSession(TypedDict):
    type: Literal["realtime"]
    object: Literal["realtime.session"]
    id: Annotated[str, Field(examples=["sess_0a1b2c3d4e5f"])]


class MadeClientSecret(TypedDict):
    value: Annotated[
        str,
        Field(
            description="the secret",
            pattern=exactly(SECRET),
            examples=["ek_" + "0aZ-" * 10 + "_1b"],
        ),
    ]
    expires_at: Annotated[int, Field(description="seconds since 1970", examples=[1_738_325_400])]
    session: MadeSession


@blueprint.post(
    "/realtime/client_secrets",
    stream=True,
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "Make a client secret",
        [Answer("the secret, which is not shown again", headers=(*RATE, "Cache-Control"))],
        about="What a page opens sessions of voice with, instead of its user's API key: any "
        f"number, until it expires. `session`, at most {SESSION_BYTES:,} bytes, is what they begin "
        "with. It dies with the key that makes it, and has the bounds of a restricted one. One "
        "request of the rate limit; no provider is asked. 50 of a user may be alive, 10 of an "
        "anonymous one, whose sessions have 64,000 bytes together, or 4,000.",
        credential="any key",
        body=NewClientSecret,
        body_required=False,
        refusals=[
            *(Unsupported, NotAllowed, NoModel, PaymentRequired),
            *(TooManyRequests, TooManyClientSecrets),
        ],
        rated=True,
    ),
)
async def make_client_secret(request: Request, tenant_id: TenantId) -> JsonReply[MadeClientSecret]:
    who, services = await request.who(any_key=True), request.services
    config = request.tenant.config
    body = await request.read_any_object(_BODY_BYTES)
    seconds, session = _read(body)
    balance = await services.accounts.balance(who)
    asked = _find(config.providers.realtime, session)
    check_voice(config, who.restricted, balance.group, asked)
    rate = await services.meter.admit(who, 1)
    secret = await services.client_secrets.make(who, session, seconds * 1000)
    shown = {"type": "realtime", "object": "realtime.session", "id": f"sess_{token_hex(12)}"}
    made: MadeClientSecret = {
        "value": secret.value,
        "expires_at": secret.expires_at_ms // 1000,
        "session": cast("MadeSession", session | shown),
    }
    return reply(made, headers={**rate.headers(), **NO_STORE})


def _read(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """For how many seconds, and the config of sessions. Raises Unsupported."""
    for name in body.keys() - NewClientSecret.__annotations__.keys():
        raise Unsupported(name[:100], "unknown member")
    expires_after = _object(body, "expires_after")
    for name in expires_after.keys() - ExpiresAfter.__annotations__.keys():
        raise Unsupported(f"expires_after.{name[:100]}", "unknown member")
    if expires_after.get("anchor", "created_at") != "created_at":
        raise Unsupported("expires_after.anchor", "must be created_at")
    seconds = expires_after.get("seconds", USUAL_SECONDS)
    if type(seconds) is not int or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        message = f"must be an integer from {LEAST_SECONDS} to {MOST_SECONDS}"
        raise Unsupported("expires_after.seconds", message)
    session = _object(body, "session")
    if session.get("type", "realtime") != "realtime":
        raise Unsupported("session.type", "must be realtime: others are not metered")
    if not isinstance(session.get("model", ""), str):
        raise Unsupported("session.model", "must be a text")
    if is_too_deep(session):
        raise Unsupported("session", "is nested too deeply")
    if len(orjson.dumps(session)) > SESSION_BYTES:
        raise Unsupported("session", f"may be {SESSION_BYTES:,} bytes")
    return seconds, session


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise Unsupported(name, "must be an object")
    return value


def _find(realtime: RealtimeEndpoints | None, session: dict[str, Any]) -> tuple[str, str] | None:
    """The endpoint, and its model, that sessions will be of, which may be set so; None if they are
    to say it. Raises NoModel, Unsupported."""
    realtime, first = for_websockets(realtime)
    model: str | None = session.get("model")
    found = None if model is None else realtime.find(model)
    if model is not None and (found is None or realtime.protocols[found[0]] != "openai"):
        raise not_offered(model)
    endpoint = realtime.endpoints[found[0] if found else first]
    check_session(session, OF_SESSION, "session", endpoint.unbounded)
    return found
