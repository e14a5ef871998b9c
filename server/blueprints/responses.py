"""Responses, of OpenAI's protocol: as gateway.py, of which they are the third operation."""

from collections.abc import Awaitable

from sanic import Blueprint

from server.blueprints.gateway import COST, REFUSALS, call_provider, streamed
from server.blueprints.request import Request
from server.openapi.headers import RATE, SPENT
from server.openapi.response_bodies import NewResponse, Response, ResponseEvent
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.providers.responses import RESPONSES
from server.replies import Reply

blueprint = Blueprint("responses", url_prefix="/v1")


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
        refusals=REFUSALS,
        rated=True,
    ),
)
def respond(request: Request, tenant_id: TenantId) -> Awaitable[Reply | None]:
    return call_provider(request, RESPONSES)
