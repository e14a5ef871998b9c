"""Administration: tenants, their configs, users, grants, API keys."""

import orjson
from sanic import Blueprint

from server.blueprints.metering import describe
from server.blueprints.request import Request, amount, refuse, reply
from server.errors import Invalid, NotFound, Unavailable
from server.http import Reply
from server.identity.users import is_user_id
from server.metering.results import Granted

of_tenant = Blueprint("admin", url_prefix="/admin")
tenants = Blueprint("tenants", url_prefix="/tenants")


@of_tenant.on_request
@tenants.on_request
async def require_admin(request: Request) -> None:
    request.require_admin()


@of_tenant.get("/config", ctx_repairs_config=True)
async def read_config(request: Request, tenant_id: str) -> Reply:
    tenant = request.tenant
    try:
        orjson.loads(tenant.raw)
    except orjson.JSONDecodeError:
        raise Unavailable(f"config of tenant {tenant_id} is not JSON") from None
    return reply({"config": orjson.Fragment(tenant.raw)}, headers={"etag": tenant.etag})


@of_tenant.put("/config", stream=True, ctx_repairs_config=True)
async def replace_config(request: Request, tenant_id: str) -> Reply:
    body = await request.read_object("config")
    if_match = request.headers.getall("if-match", None)
    await request.services.tenants.replace(
        tenant_id, body.get("config"), ",".join(if_match) if if_match else None
    )
    return reply({"success": True})


@of_tenant.get("/users/<user_id>")
async def read_user(request: Request, tenant_id: str, user_id: str) -> Reply:
    found = await request.services.accounts.balance_of_user(tenant_id, _checked(user_id))
    return reply(describe(user_id, found))


@of_tenant.post("/users/<user_id>/grants", stream=True)
async def grant(request: Request, tenant_id: str, user_id: str) -> Reply:
    _checked(user_id)
    idempotency_key = request.idempotency_key()
    body = await request.read_object("tokens", "group")
    if len(body) != 1:
        refuse({"path": "", "message": "must have either tokens or group"})
    if "group" in body:
        granted = await _move(request, user_id, body["group"], idempotency_key)
    else:
        tokens = amount(body["tokens"], "tokens", least=1)
        granted = await request.services.accounts.grant(
            tenant_id, user_id, tokens, request.ref, idempotency_key
        )
    headers = {"idempotent-replayed": "true"} if granted.replayed else {}
    return reply({"tokensLeft": granted.tokens_left, "group": granted.group}, headers=headers)


async def _move(
    request: Request, user_id: str, name: object, idempotency_key: str | None
) -> Granted:
    tenant = request.tenant
    group = tenant.config.user_groups.find(name) if isinstance(name, str) else None
    if group is None or not isinstance(name, str):
        raise Invalid("Unknown group", [{"path": "group", "message": "is not a user group"}])
    return await request.services.accounts.move(
        tenant.tenant_id, user_id, name, group, request.ref, idempotency_key
    )


@of_tenant.delete("/keys/<api_key>")
async def revoke_key(request: Request, tenant_id: str, api_key: str) -> Reply:
    await request.services.users.revoke(tenant_id, api_key)
    return Reply(status=204)


@tenants.get("")
async def list_tenants(request: Request) -> Reply:
    return reply({"tenants": await request.services.tenants.list_ids()})


@tenants.post("", stream=True)
async def create_tenant(request: Request) -> Reply:
    body = await request.read_object("tenantId", "config")
    await request.services.tenants.create(body.get("tenantId"), body.get("config"))
    return reply({"tenantId": body["tenantId"]}, 201)


@tenants.delete("/<tenant_id>")
async def delete_tenant(request: Request, tenant_id: str) -> Reply:
    await request.services.tenants.delete(tenant_id)
    return Reply(status=204)


def _checked(user_id: str) -> str:
    if not is_user_id(user_id):
        raise NotFound
    return user_id
