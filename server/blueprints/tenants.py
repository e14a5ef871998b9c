"""Administration of tenants: make, list, delete."""

import logging

from sanic import Blueprint
from typing_extensions import TypedDict

from server.blueprints.request import Request, reply
from server.errors import InvalidTenant, TenantExists, Unavailable
from server.openapi.route import Answer, Doc
from server.openapi.values import DocumentedConfig, TenantId
from server.replies import JsonReply, Reply
from server.tenants.tenants import RESERVED_IDS

log = logging.getLogger(__name__)

blueprint = Blueprint("tenants", url_prefix="/tenants")
blueprint.on_request(Request.require_admin)


class Tenants(TypedDict):
    tenants: list[TenantId]


class NewTenant(TypedDict):
    tenantId: TenantId
    config: DocumentedConfig


class Tenant(TypedDict):
    tenantId: TenantId


@blueprint.get(
    "",
    ctx_doc=Doc(
        "Administration",
        "The IDs of all tenants",
        [Answer("the IDs")],
        credential="admin",
        refusals=[Unavailable],
    ),
)
async def list_tenants(request: Request) -> JsonReply[Tenants]:
    return reply({"tenants": await request.services.tenants.list_ids()})


@blueprint.post(
    "",
    stream=True,
    ctx_doc=Doc(
        "Administration",
        "Make a tenant",
        [Answer("it is made", status=201)],
        about=f"Not as IDs: {', '.join(f'`{name}`' for name in RESERVED_IDS)}.",
        credential="admin",
        body=NewTenant,
        refusals=[TenantExists, Unavailable],
    ),
)
async def create_tenant(request: Request) -> JsonReply[Tenant]:
    body = await request.read_object(NewTenant)
    await request.services.tenants.create(body.get("tenantId"), body.get("config"))
    log.info("Tenant %s made (request %s)", body["tenantId"], request.id)
    return reply({"tenantId": body["tenantId"]}, 201)


@blueprint.delete(
    "/<tenant_id>",
    ctx_doc=Doc(
        "Administration",
        "Delete a tenant",
        [Answer("it is deleted", status=204)],
        about="Its users' keys stop working at once; its ID is not given out again.",
        credential="admin",
        refusals=[InvalidTenant, Unavailable],
    ),
)
async def delete_tenant(request: Request, tenant_id: TenantId) -> Reply:
    await request.services.tenants.delete(tenant_id)
    log.info("Tenant %s deleted (request %s)", tenant_id, request.id)
    return Reply(status=204)
