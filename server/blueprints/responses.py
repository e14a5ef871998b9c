"""Responses, of OpenAI's protocol: as gateway.py, of which they are the third operation."""

from sanic import Blueprint

from server.blueprints.by_size import reply_by_size
from server.blueprints.gateway import COST, REFUSALS, call_provider, streamed
from server.blueprints.policies import policy_of_text
from server.blueprints.request import Request, reply
from server.errors import TooManyRequests, Unsupported
from server.gateway.kept import KeptAt
from server.metering.errors import NoResponse, NotAllowed
from server.metering.kept_responses import KeptResponse
from server.openapi.headers import RATE, SPENT
from server.openapi.response_bodies import (
    DeletedResponse,
    NewResponse,
    Response,
    ResponseEvent,
)
from server.openapi.route import Answer, Doc
from server.openapi.values import ResponseId, TenantId
from server.providers.errors import OF_PROVIDERS
from server.providers.responses import RESPONSES
from server.replies import JsonReply, Reply
from server.who import Who

blueprint = Blueprint("responses", url_prefix="/v1")

_NO_MORE = "usage_limit_reached"
"""Codex ends with an error of this type. With any other of status 429 it waits in silence for as
long as `Retry-After` says, be it a day, whatever `x-should-retry` says."""


# A second address, as in gateway.py.
@blueprint.post("/v1/responses", stream=True, ctx_speaks="openai", name="respond_again")
@blueprint.post(
    "/responses",
    stream=True,
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "A response, in OpenAI's shape",
        [Answer("the response", Response, headers=(*RATE, *SPENT)), streamed(ResponseEvent)],
        about=f"{COST} Nothing is stored unless the endpoint allows it. All members: "
        "`platform.openai.com/docs/api-reference/responses`.",
        credential="any key",
        body=NewResponse,
        refusals=[*REFUSALS, NoResponse],
        rated=True,
    ),
)
async def respond(request: Request, tenant_id: TenantId) -> Reply | None:
    try:
        return await call_provider(request, RESPONSES)
    except TooManyRequests as refused:
        if refused.is_final:
            refused.kind = _NO_MORE
        raise


_REFUSALS = [NotAllowed, NoResponse, TooManyRequests, *OF_PROVIDERS]
_OWN = (
    "The user's own, for a week, where the endpoint allows `store`; a restricted key's are those "
    "that it has made. For users who may ask text endpoints for more than prompts. One request of "
    "the rate limit, and no tokens."
)


@blueprint.get(
    "/responses/<response_id>",
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "A response that is kept",
        [Answer("the response", Response, headers=RATE)],
        about=_OWN,
        credential="any key",
        refusals=[Unsupported, *_REFUSALS],
        rated=True,
    ),
)
async def see_response(
    request: Request, tenant_id: TenantId, response_id: ResponseId
) -> Reply | None:
    if request.args.get("stream") == "true":
        raise Unsupported("stream", "A response that is kept can only be had whole")
    who, headers, kept, at = await _find(request, response_id)
    services = request.services
    with (
        services.places.place(tenant_id),
        services.reply_room.portion(tenant_id, who.user_id) as portion,
    ):
        body = await at.get(kept.endpoint, response_id, portion)
        return await reply_by_size(request, body, headers)


@blueprint.delete(
    "/responses/<response_id>",
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "Delete a response that is kept",
        [Answer("it is gone", headers=RATE)],
        about=_OWN,
        credential="any key",
        refusals=_REFUSALS,
        rated=True,
    ),
)
async def delete_response(
    request: Request, tenant_id: TenantId, response_id: ResponseId
) -> JsonReply[DeletedResponse]:
    who, headers, kept, at = await _find(request, response_id)
    services = request.services
    with services.places.place(tenant_id):
        await at.delete(kept.endpoint, response_id)
    await services.kept_responses.forget(who, response_id)
    answer: DeletedResponse = {"id": response_id, "object": "response", "deleted": True}
    return reply(answer, headers=headers)


async def _find(
    request: Request, response_id: str
) -> tuple[Who, dict[str, str], KeptResponse, KeptAt]:
    """Whose it is, the rate as headers, and where it is. Raises Refusal."""
    who, services = await request.who(any_key=True), request.services
    await policy_of_text(request, who)
    rate = await services.meter.admit(who)
    kept = await services.kept_responses.find(who, response_id)
    at = KeptAt(services.upstream, who, request.tenant.config.providers.text)
    return who, rate.headers(), kept, at
