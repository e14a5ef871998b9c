"""What SDKs ask of providers that costs nothing: how many tokens a message has, and moderations. It
is a request of the user's rate limit, and takes nothing of the balance."""

from functools import partial
from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from sanic import Blueprint
from typing_extensions import TypedDict

from server.amounts import Tokens
from server.blueprints import body
from server.blueprints.by_size import reply_by_size
from server.blueprints.gateway import plan_text
from server.blueprints.policies import policy_of, policy_of_text
from server.blueprints.request import Request, reply
from server.errors import NoModel, TooManyRequests, Unsupported
from server.gateway.calls import Caller
from server.gateway.counts import count_by_provider
from server.gateway.moderations import moderate
from server.gateway.policy import fault_of
from server.gateway.restricted import for_key
from server.metering.errors import NotAllowed
from server.openapi.headers import RATE
from server.openapi.provider_bodies import ANTHROPIC_BETA, ANTHROPIC_VERSION, NewMessage
from server.openapi.route import Answer, Doc
from server.openapi.schemas import Json
from server.openapi.values import TenantId
from server.providers.errors import OF_PROVIDERS, ProviderRefused
from server.providers.wire import WIRES
from server.replies import JsonReply, Reply
from server.who import Who

blueprint = Blueprint("unpaid", url_prefix="/v1")

_REFUSALS = [Unsupported, NotAllowed, NoModel, TooManyRequests]
_FREE = "Costs no tokens: one request of the rate limit."
_MODERATED: Json = {"model": "omni-moderation-latest", "input": "A text"}
_MODERATION: Json = {
    "id": "modr-1",
    "model": "omni-moderation-latest",
    "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
}


class Estimated(TypedDict):
    """by us, as its provider has not counted it"""

    estimated: Literal[True]


class TokenCount(TypedDict):
    input_tokens: Annotated[Tokens, Field(description="of the prompt", examples=[14])]
    vibe: NotRequired[Estimated]


@with_config(ConfigDict(extra="forbid", json_schema_extra={"examples": [_MODERATED]}))
class NewModeration(TypedDict):
    input: Annotated[
        str | list[str | Json],
        Field(description="a text, or a list of texts and images", examples=["A text"]),
    ]
    model: NotRequired[Annotated[str | None, Field(description="the provider's, of moderations")]]


@with_config(ConfigDict(extra="allow", json_schema_extra={"examples": [_MODERATION]}))
class Moderation(TypedDict):
    """as the provider gives it"""


# Second addresses, as in gateway.py.
@blueprint.post(
    "/v1/messages/count_tokens", stream=True, ctx_speaks="anthropic", name="count_again"
)
@blueprint.post(
    "/messages/count_tokens",
    stream=True,
    ctx_speaks="anthropic",
    ctx_doc=Doc(
        "Gateway",
        "How many tokens a message has",
        [Answer("the count: the provider's, or else an estimate", headers=RATE)],
        about=f"{_FREE} A message that would be refused is, in the same words. Of an endpoint of "
        "OpenAI's protocol, of one that does not answer within 10 s, and of the tenant's prompts, "
        "it is estimated.",
        credential="any key",
        parameters=[ANTHROPIC_VERSION, ANTHROPIC_BETA],
        body=NewMessage,
        refusals=[*_REFUSALS, ProviderRefused],
        rated=True,
    ),
)
async def count_tokens(request: Request, tenant_id: TenantId) -> JsonReply[TokenCount]:
    services, who = request.services, await request.who(any_key=True)
    config = request.tenant.config
    with (
        services.places.place(tenant_id),
        services.request_room.portion(tenant_id, who.user_id) as portion,
    ):
        policy = await policy_of(request, who)
        text = await body.read(request.http, body.OF_CALLS, portion, partial(_check, request, who))
        caller = Caller(who, request.ref, request.headers, WIRES["anthropic"])
        asked, attempts = await body.handle(text, body.OF_CALLS, portion, plan_text, caller, config)
        attempts, fault = for_key(who.restricted, config.providers.text, attempts)
        if fault := fault or fault_of(policy, attempts[0]):
            raise NotAllowed(*fault)
        headers = (await services.meter.admit(who)).headers()
        count = await count_by_provider(services.upstream, tenant_id, asked, attempts[0])
    if count is not None:
        return reply({"input_tokens": count}, headers=headers)
    estimate: TokenCount = {"input_tokens": attempts[0].prompt, "vibe": {"estimated": True}}
    return reply(estimate, headers=headers)


@blueprint.post("/v1/moderations", stream=True, ctx_speaks="openai", name="moderate_again")
@blueprint.post(
    "/moderations",
    stream=True,
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "What a provider thinks of a text",
        [Answer("the moderation", Moderation, headers=RATE)],
        about=f"{_FREE} For users who may ask text endpoints for more than prompts, and for keys "
        "without `models`. It is passed on to the first text endpoint that has moderations.",
        credential="any key",
        body=NewModeration,
        refusals=[*_REFUSALS, *OF_PROVIDERS],
        rated=True,
    ),
)
async def make_moderation(request: Request, tenant_id: TenantId) -> Reply | None:
    services, who = request.services, await request.who(any_key=True)
    text = request.tenant.config.providers.text
    with (
        services.places.place(tenant_id),
        services.request_room.portion(tenant_id, who.user_id) as portion,
        services.reply_room.portion(tenant_id, who.user_id) as of_reply,
    ):
        await policy_of_text(request, who)
        if who.restricted is not None and who.restricted.models is not None:
            raise NotAllowed("model_not_allowed", "This key is not for moderations")
        check = partial(_check, request, who)
        asked = await body.read_object(request.http, body.OF_CALLS, portion, check)
        headers = (await services.meter.admit(who)).headers()
        raw = await moderate(services.upstream, tenant_id, text, asked, of_reply)
        return await reply_by_size(request, raw, headers)


async def _check(request: Request, who: Who) -> None:
    """Could it count as a request? Raises InvalidApiKey, TooManyRequests."""
    await request.services.meter.check(who, "charge", 0)
