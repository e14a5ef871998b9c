"""Administration of one tenant: its config, users, grants, API keys."""

import logging
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType, TypedDict

from server.amounts import Tokens
from server.blueprints.accounts import User, describe
from server.blueprints.request import IDEMPOTENCY_KEY, Request, amount, refuse, reply
from server.errors import Invalid, KeyReused, NotFound, PreconditionFailed, Unavailable
from server.identity.restricted import is_restricted
from server.identity.users import is_user_id
from server.metering.results import GrantResult
from server.openapi.headers import EXAMPLE_OF_ETAG
from server.openapi.route import Answer, Doc, Parameter
from server.openapi.values import ApiKey, DocumentedConfig, Group, TenantId, UserId
from server.replies import JsonReply, Reply
from server.tenants.strict import NAME
from server.tenants.tenants import CONFIG_BYTES

log = logging.getLogger(__name__)

blueprint = Blueprint("admin", url_prefix="/admin")
blueprint.on_request(Request.require_admin)

_IF_MATCH = Parameter(
    "If-Match",
    "header",
    Annotated[
        str,
        Field(description="the ETag of the config to replace", examples=[EXAMPLE_OF_ETAG]),
    ],
)


class Config(TypedDict):
    config: DocumentedConfig


class Replaced(TypedDict):
    success: Literal[True]


class GrantOfTokens(TypedDict):
    tokens: Annotated[Tokens, Field(ge=1, description="to add", examples=[500])]


class GrantOfGroup(TypedDict):
    group: Group


Grant = TypeAliasType("Grant", GrantOfTokens | GrantOfGroup)


class Granted(TypedDict):
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[5000])]
    group: Group


@blueprint.get(
    "/config",
    ctx_repairs_config=True,
    ctx_doc=Doc(
        "Administration",
        "A tenant's config, as stored",
        [Answer("the config", headers=["ETag"])],
        credential="admin",
    ),
)
async def read_config(request: Request, tenant_id: TenantId) -> JsonReply[Config]:
    tenant = request.tenant
    try:
        orjson.loads(tenant.raw)
    except orjson.JSONDecodeError:
        raise Unavailable(f"config of tenant {tenant_id} is not JSON") from None
    stored: Any = orjson.Fragment(tenant.raw)
    return reply({"config": stored}, headers={"etag": tenant.etag})


@blueprint.put(
    "/config",
    stream=True,
    ctx_repairs_config=True,
    ctx_doc=Doc(
        "Administration",
        "Replace a tenant's config",
        [Answer("it is replaced")],
        about=f"In full, at most {CONFIG_BYTES // 1024} KiB; in force for the next request on "
        "every worker. Names of groups and endpoints match "
        f"`{NAME.pattern}`; others that are stored already are served.",
        credential="admin",
        parameters=[_IF_MATCH],
        body=Config,
        refusals=[PreconditionFailed],
    ),
)
async def replace_config(request: Request, tenant_id: TenantId) -> JsonReply[Replaced]:
    body = await request.read_object(Config)
    if_match = request.headers.getall("if-match", None)
    await request.services.tenants.replace(
        tenant_id, body.get("config"), ",".join(if_match) if if_match else None
    )
    log.info("Config of tenant %s replaced (request %s)", tenant_id, request.id)
    return reply({"success": True})


@blueprint.get(
    "/users/<user_id>",
    ctx_doc=Doc(
        "Administration",
        "What a user has",
        [Answer("the user")],
        credential="admin",
        refusals=[NotFound],
    ),
)
async def read_user(request: Request, tenant_id: TenantId, user_id: UserId) -> JsonReply[User]:
    found = await request.services.accounts.balance_of_user(tenant_id, _checked(user_id))
    return reply(describe(user_id, found))


@blueprint.post(
    "/users/<user_id>/grants",
    stream=True,
    ctx_doc=Doc(
        "Administration",
        "Add tokens, or move a user to another group",
        [Answer("it is granted", headers=["Idempotent-Replayed"])],
        about="Tokens that are added are extra, and make the user permanent. A group replaces the "
        "limits, and sets the balance to the group's tokens and what is left of the extra ones, "
        "less what is held; who has a plan is moved when that ends. In `anonymous` users expire, "
        "unless they have extra tokens; in other groups they are permanent. The balance, and all "
        "that was ever granted, is at most 10^13.",
        credential="admin",
        parameters=[IDEMPOTENCY_KEY],
        body=Grant,
        refusals=[NotFound, KeyReused],
    ),
)
async def grant(request: Request, tenant_id: TenantId, user_id: UserId) -> JsonReply[Granted]:
    _checked(user_id)
    idempotency_key = request.idempotency_key()
    body = await request.read_object(Grant.__value__)
    if len(body) != 1:
        refuse({"path": "", "message": "must have either tokens or group"})
    if "group" in body:
        granted = await _move(request, user_id, body["group"], idempotency_key)
        what = f"moved to group {granted.group}"
    else:
        tokens = amount(body["tokens"], "tokens", least=1)
        granted = await request.services.accounts.grant(
            tenant_id, user_id, tokens, request.ref, idempotency_key
        )
        what = f"granted {tokens} tokens"
    if not granted.replayed:
        log.info("User %s of tenant %s %s (request %s)", user_id, tenant_id, what, request.id)
    headers = {"idempotent-replayed": "true"} if granted.replayed else {}
    return reply({"tokensLeft": granted.tokens_left, "group": granted.group}, headers=headers)


async def _move(
    request: Request, user_id: str, name: object, idempotency_key: str | None
) -> GrantResult:
    tenant = request.tenant
    # In old configs there may be a group called '': nobody is moved there.
    group = tenant.config.user_groups.find(name) if name and isinstance(name, str) else None
    if group is None or not isinstance(name, str):
        raise Invalid("Unknown group", [{"path": "group", "message": "is not a user group"}])
    return await request.services.accounts.move(
        tenant.tenant_id, user_id, name, group, request.ref, idempotency_key
    )


@blueprint.delete(
    "/keys/<api_key>",
    ctx_doc=Doc(
        "Administration",
        "Revoke an API key",
        [Answer("it is revoked, effective at once", status=204)],
        credential="admin",
        refusals=[NotFound],
    ),
)
async def revoke_key(request: Request, tenant_id: TenantId, api_key: ApiKey) -> Reply:
    services = request.services
    revoke = (services.restricted_keys if is_restricted(api_key) else services.users).revoke
    user_id = await revoke(tenant_id, api_key)
    log.info("API key of user %s of tenant %s revoked (request %s)", user_id, tenant_id, request.id)
    return Reply(status=204)


def _checked(user_id: str) -> str:
    if not is_user_id(user_id):
        raise NotFound
    return user_id
