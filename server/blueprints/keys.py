"""Restricted keys: what a user gives to a page, to friends, to an agent."""

from typing import Annotated, Any, NotRequired, cast

import orjson
from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server.amounts import LARGEST, Tokens, is_amount
from server.blueprints.request import Request, refuse, reply
from server.errors import Detail, NotFound
from server.identity.errors import TooManyKeys
from server.identity.restricted import Limits, Listed
from server.metering.results import iso_time
from server.openapi.route import Answer, Doc
from server.openapi.values import ApiKey, KeyId, TenantId, Time
from server.replies import JsonReply, Reply
from server.tenants.origins import fault_of_origin

blueprint = Blueprint("keys")

LEAST_SECONDS, MOST_SECONDS, USUAL_SECONDS = 10, 2_592_000, 3_600
MOST_NAMES = 20
LONGEST_NAME = 200
LIMITS_BYTES = 1_000
"""Of all lists as JSON: who makes a user for nothing must not make a large one."""

_Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]],
    Field(max_length=MOST_NAMES),
]
_Models = Annotated[
    _Names,
    Field(
        description="that it may ask for, as `GET v1/models` has them; absent: all",
        examples=[["gpt-4o"]],
    ),
]
_Prompts = Annotated[
    _Names,
    Field(
        examples=[["haiku"]],
        description="names of prompts that it may ask for. Where one of `models` and `prompts` is "
        "there, what neither of them has is refused",
    ),
]
_Origins = Annotated[
    _Names,
    Field(
        description="of the pages that may use it, compared with `Origin`, which is required then. "
        "Of browsers alone that is true: others send what they like",
        examples=[["https://app.example"]],
    ),
]
_KeysTokens = Annotated[Tokens, Field(ge=1, description="that it may spend", examples=[200])]
_Expiry = Annotated[Time, Field(description="its end", examples=["2025-01-31T12:10:00.000Z"])]


class NewKey(TypedDict):
    tokens: _KeysTokens
    expiresIn: NotRequired[
        Annotated[
            int,
            Field(
                ge=LEAST_SECONDS,
                le=MOST_SECONDS,
                description="seconds",
                examples=[600],
                json_schema_extra={"default": USUAL_SECONDS},
            ),
        ]
    ]
    models: NotRequired[_Models]
    prompts: NotRequired[_Prompts]
    origins: NotRequired[_Origins]


class MadeKey(TypedDict):
    apiKey: ApiKey
    keyId: KeyId
    tokens: _KeysTokens
    expiresAt: _Expiry


class ListedKey(TypedDict):
    keyId: KeyId
    tokens: _KeysTokens
    tokensLeft: Annotated[
        Tokens, Field(description="of its own, as far as the balance goes", examples=[150])
    ]
    tokensHeld: Annotated[Tokens, Field(description="set aside in its open calls", examples=[30])]
    tokensUsed: Annotated[Tokens, Field(description="spent so far", examples=[20])]
    createdAt: Annotated[Time, Field(examples=["2025-01-31T12:00:00.000Z"])]
    expiresAt: _Expiry
    models: NotRequired[_Models]
    prompts: NotRequired[_Prompts]
    origins: NotRequired[_Origins]


class Keys(TypedDict):
    keys: list[ListedKey]


@blueprint.post(
    "/keys",
    stream=True,
    ctx_doc=Doc(
        "Login",
        "Make a restricted key",
        [Answer("the key, which is not shown again", status=201)],
        about="A key of the same user that can spend at most so many tokens, for so long, on what "
        "is listed; it is for provider calls, the list of models and the balance. It dies with the "
        "key that makes it. 50 of a user may be alive, 3 of an anonymous one, which have lists of "
        "400 bytes together; more are 429. With it goes the user's ID, which is a part of it.",
        credential="user",
        body=NewKey,
        refusals=[TooManyKeys],
    ),
)
async def make_key(request: Request, tenant_id: TenantId) -> JsonReply[MadeKey]:
    who = await request.who()
    body = await request.read_object(NewKey)
    if faults := _faults(body):
        refuse(*faults)
    seconds = body.get("expiresIn", USUAL_SECONDS)
    made = await request.services.restricted_keys.add(
        who, body["tokens"], seconds * 1000, _limits(body)
    )
    answer: MadeKey = {
        "apiKey": made.api_key,
        "keyId": made.key_id,
        "tokens": body["tokens"],
        "expiresAt": iso_time(made.expires_at_ms),
    }
    return reply(answer, 201)


@blueprint.get(
    "/keys",
    ctx_doc=Doc(
        "Login",
        "The user's restricted keys",
        [Answer("those that are alive, the oldest first")],
        credential="user",
    ),
)
async def list_keys(request: Request, tenant_id: TenantId) -> JsonReply[Keys]:
    who = await request.who()
    listed = await request.services.restricted_keys.list(who)
    return reply({"keys": [_describe(key) for key in listed]})


@blueprint.delete(
    "/keys/<key_id>",
    ctx_doc=Doc(
        "Login",
        "Revoke a restricted key",
        [Answer("it is revoked, effective at once", status=204)],
        about="By its ID; it may be given itself, too. Calls that it has begun come to their end.",
        credential="user",
        refusals=[NotFound],
    ),
)
async def remove_key(request: Request, tenant_id: TenantId, key_id: KeyId) -> Reply:
    who = await request.who()
    await request.services.restricted_keys.remove(who, key_id)
    return Reply(status=204)


def _faults(body: dict[str, Any]) -> list[Detail]:
    found: list[Detail] = []
    if not is_amount(body.get("tokens"), 1):
        found.append({"path": "tokens", "message": f"must be an integer from 1 to {LARGEST}"})
    seconds = body.get("expiresIn", USUAL_SECONDS)
    if type(seconds) is not int or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        message = f"must be an integer from {LEAST_SECONDS} to {MOST_SECONDS} (seconds)"
        found.append({"path": "expiresIn", "message": message})
    limits = _limits(body)
    of_lists = [fault for name, value in limits.items() for fault in _faults_of_list(name, value)]
    if not of_lists and len(orjson.dumps(limits)) > LIMITS_BYTES:
        message = f"models, prompts and origins may be {LIMITS_BYTES:,} bytes together"
        of_lists.append({"path": "", "message": message})
    return found + of_lists


def _faults_of_list(name: str, value: Any) -> list[Detail]:
    if not isinstance(value, list) or len(value) > MOST_NAMES:
        return [{"path": name, "message": f"must be a list of at most {MOST_NAMES}"}]
    found: list[Detail] = []
    for number, one in enumerate(value):
        message = None
        if not isinstance(one, str) or not 1 <= len(one) <= LONGEST_NAME:
            message = f"must be a text of 1 to {LONGEST_NAME} characters"
        elif name == "origins":
            message = fault_of_origin(one)
        if message:
            found.append({"path": f"{name}.{number}", "message": message})
    return found


def _limits(body: dict[str, Any]) -> Limits:
    found = {name: body[name] for name in Limits.__annotations__ if name in body}
    return cast("Limits", found)


def _describe(key: Listed) -> ListedKey:
    return {
        "keyId": key.key_id,
        "tokens": key.tokens,
        "tokensLeft": key.tokens_left,
        "tokensHeld": key.tokens_held,
        "tokensUsed": key.tokens_used,
        "createdAt": iso_time(key.created_at_ms),
        "expiresAt": iso_time(key.expires_at_ms),
        **key.limits,
    }
