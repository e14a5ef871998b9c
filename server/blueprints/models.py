"""The list of a tenant's models, which the SDKs of both protocols ask for at the same address."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType, TypedDict

from server.blueprints.request import Request, reply, send_in_pieces
from server.gateway import endpoints
from server.gateway.endpoints import Endpoints
from server.gateway.prompts import find_prompts
from server.gateway.restricted import is_for_prompt, models_of
from server.gateway.room import SMALL_REPLY_BYTES
from server.metering.errors import NotAllowed
from server.metering.rules import UNKNOWN_GROUP
from server.openapi.provider_bodies import ANTHROPIC_VERSION
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.replies import JsonReply, Reply
from server.tenants.config import TenantConfig
from server.tenants.models import THOUSAND, Weights
from server.tenants.policies import Allowed, Policy
from server.who import RestrictedKey

blueprint = Blueprint("models", url_prefix="/v1")

_Name = Annotated[str, Field(description="what to ask for", examples=["gpt-4o"])]
_NameOrNone = Annotated[str | None, Field(description="what to ask for", examples=["gpt-4o"])]


_Weight = Annotated[float, Field(ge=0.001, le=1000, examples=[16.7])]


class ModelWeights(TypedDict):
    """tokens charged per token of input, of input that was read from a cache, and of output"""

    input: _Weight
    cached: _Weight
    output: _Weight


class _Priced(TypedDict):
    vibe: NotRequired[
        Annotated[ModelWeights, Field(description="what it costs, unless a token for each")]
    ]


class Model(_Priced):
    id: _Name
    object: Literal["model"]
    created: Literal[0]
    owned_by: Annotated[str, Field(description="its endpoint", examples=["openai"])]


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class AnthropicModel(_Priced):
    type: Literal["model"]
    id: _Name
    display_name: _Name
    created_at: Literal["1970-01-01T00:00:00Z"]


class AnthropicModelList(TypedDict):
    data: list[AnthropicModel]
    has_more: Literal[False]
    first_id: _NameOrNone
    last_id: _NameOrNone


Models = TypeAliasType("Models", ModelList | AnthropicModelList)


# A second address, as in gateway.py.
@blueprint.get("/v1/models", ctx_speaks="openai", name="list_models_again")
@blueprint.get(
    "/models",
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "The models that the user may ask for",
        [Answer("the models; in Anthropic's shape with `anthropic-version`", Models)],
        about="Not rate limited, and answers at a balance of 0 too. "
        f"The first {endpoints.MOST_MODELS:,} that the config names; prompts are `prompt/<name>`.",
        credential="any key",
        parameters=[ANTHROPIC_VERSION],
        refusals=[NotAllowed],
    ),
)
async def list_models(request: Request, tenant_id: TenantId) -> Reply | None:
    who = await request.who(any_key=True)
    balance = await request.services.accounts.balance(who)
    policy = request.tenant.config.policies.find(balance.group)
    if policy is None:
        raise NotAllowed(*UNKNOWN_GROUP)
    found = _usable(request.tenant.config, policy, who.restricted)
    models = _of_anthropic if "anthropic-version" in request.headers else _of_openai
    listed: JsonReply[Models] = reply(models(found))
    body = listed.body or b""
    if len(body) <= SMALL_REPLY_BYTES:
        return listed
    # Its clients may leave it unread, as those of a provider's large replies.
    with request.services.reply_room.portion(who.tenant_id, who.user_id) as portion:
        portion.grow_to(len(body))
        await send_in_pieces(request, body, {}, "application/json")
    return None


def _usable(
    config: TenantConfig, policy: Policy, key: RestrictedKey | None
) -> list[endpoints.Model]:
    """The first MOST_MODELS; prompts come first, as they are few."""
    providers = config.providers
    prompts = (one for one in find_prompts(config, policy) if is_for_prompt(key, one.name))
    found: list[Iterator[endpoints.Model]] = [prompts]
    if not policy.prompts_only:
        if policy.has_text:
            found.append(_usable_of(providers.text, policy.text, key))
        if policy.has_embeddings:
            found.append(_usable_of(providers.embeddings, policy.embeddings, key))
    each = {one.name: one for one in reversed(list(islice(chain(*found), endpoints.MOST_MODELS)))}
    return list(reversed(each.values()))


def _usable_of(
    of_kind: Endpoints | None, allowed: Allowed, key: RestrictedKey | None
) -> Iterator[endpoints.Model]:
    models = endpoints.find_models(of_kind, allowed)
    if of_kind is None or key is None or (own := models_of(key, of_kind)) is None:
        return models
    return (one for one in models if of_kind.offered[one.name] in own)


def _of_openai(found: list[endpoints.Model]) -> ModelList:
    data: list[Model] = [
        {"id": name, "object": "model", "created": 0, "owned_by": owner, **_priced(weights)}
        for name, owner, weights in found
    ]
    return {"object": "list", "data": data}


def _of_anthropic(found: list[endpoints.Model]) -> AnthropicModelList:
    data: list[AnthropicModel] = [
        {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "1970-01-01T00:00:00Z",
            **_priced(weights),
        }
        for name, _, weights in found
    ]
    return {
        "data": data,
        "has_more": False,
        "first_id": found[0].name if found else None,
        "last_id": found[-1].name if found else None,
    }


def _priced(weights: Weights) -> _Priced:
    if weights[:3] == (THOUSAND, THOUSAND, THOUSAND):
        return {}
    told: ModelWeights = {
        "input": weights.input / THOUSAND,
        "cached": weights.cached / THOUSAND,
        "output": weights.output / THOUSAND,
    }
    return {"vibe": told}
