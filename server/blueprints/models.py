"""The list of a tenant's models, which the SDKs of both protocols ask for at the same address."""

from typing import Annotated, Literal, NotRequired
from urllib.parse import unquote

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType, TypedDict

from server.blueprints.by_size import reply_by_size
from server.blueprints.policies import policy_of
from server.blueprints.request import Request, reply
from server.errors import NoModel
from server.gateway.endpoints import Model as Listed
from server.gateway.listing import MOST_MODELS, find_usable, list_usable
from server.metering.errors import NotAllowed
from server.openapi.provider_bodies import ANTHROPIC_VERSION
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.replies import JsonReply, Reply
from server.tenants.models import THOUSAND, Weights

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
OneModel = TypeAliasType("OneModel", Model | AnthropicModel)
ModelId = Annotated[str, Field(description="its name, which may have slashes")]


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
        f"The first {MOST_MODELS:,} that the config names; prompts are `prompt/<name>`.",
        credential="any key",
        parameters=[ANTHROPIC_VERSION],
        refusals=[NotAllowed],
    ),
)
async def list_models(request: Request, tenant_id: TenantId) -> Reply | None:
    who = await request.who(any_key=True)
    found = list_usable(request.tenant.config, await policy_of(request, who), who.restricted)
    models = _list_of_anthropic if _is_of_anthropic(request) else _list_of_openai
    listed: JsonReply[Models] = reply(models(found))
    body = listed.body or b""
    # Its clients may leave it unread, as those of a provider's large replies.
    with request.services.reply_room.portion(who.tenant_id, who.user_id) as portion:
        portion.grow_to(len(body))
        return await reply_by_size(request, body, {})


# Names may have slashes.
@blueprint.get("/v1/models/<model_id:path>", ctx_speaks="openai", name="see_model_again")
@blueprint.get(
    "/models/<model_id:path>",
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "One of these models",
        [Answer("the model; in Anthropic's shape with `anthropic-version`")],
        about="Also one that an endpoint takes without naming it. Not rate limited.",
        credential="any key",
        parameters=[ANTHROPIC_VERSION],
        refusals=[NotAllowed, NoModel],
    ),
)
async def see_model(
    request: Request, tenant_id: TenantId, model_id: ModelId
) -> JsonReply[OneModel]:
    who = await request.who(any_key=True)
    policy = await policy_of(request, who)
    name = unquote(model_id)
    found = find_usable(request.tenant.config, policy, who.restricted, name)
    if found is None:
        raise NoModel(f"The model {name[:100]!r} is not offered here")
    return reply(_of_anthropic(found) if _is_of_anthropic(request) else _of_openai(found))


def _is_of_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _list_of_openai(found: list[Listed]) -> ModelList:
    return {"object": "list", "data": [_of_openai(one) for one in found]}


def _list_of_anthropic(found: list[Listed]) -> AnthropicModelList:
    return {
        "data": [_of_anthropic(one) for one in found],
        "has_more": False,
        "first_id": found[0].name if found else None,
        "last_id": found[-1].name if found else None,
    }


def _of_openai(found: Listed) -> Model:
    name, owner, weights = found
    return {"id": name, "object": "model", "created": 0, "owned_by": owner, **_priced(weights)}


def _of_anthropic(found: Listed) -> AnthropicModel:
    return {
        "type": "model",
        "id": found.name,
        "display_name": found.name,
        "created_at": "1970-01-01T00:00:00Z",
        **_priced(found.weights),
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
