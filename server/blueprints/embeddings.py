"""Embeddings: vectors of texts, in the shape of OpenAI's protocol, metered as the calls of
gateway.py."""

from collections.abc import Awaitable

from sanic import Blueprint

from server.blueprints import body
from server.blueprints.gateway import REFUSALS, call_provider
from server.blueprints.request import Request
from server.gateway.attempts import Attempt, plan_attempts
from server.gateway.calls import Caller
from server.gateway.endpoints import find_embedder
from server.gateway.options import Asked
from server.openapi.embeddings import EmbeddingList, NewEmbeddings
from server.openapi.headers import RATE, SPENT
from server.openapi.route import Answer, Doc
from server.openapi.values import TenantId
from server.providers.embeddings import EMBEDDINGS, measure_inputs
from server.providers.identifiers import user_of_tenant
from server.replies import Reply
from server.tenants.config import TenantConfig

blueprint = Blueprint("embeddings", url_prefix="/v1")

_ABOUT = f"""\
Tokens are held for the inputs and settled to what the provider reports, times the model's weight; \
402 where the balance does not cover the inputs. Lists of tokens are counted, texts estimated. \
At most {body.OF_EMBEDDINGS.size // body.MIB} MiB and {body.OF_EMBEDDINGS.values:,} values; a \
reply of more than 32 MiB is refused, and charged for: `base64`, which OpenAI's SDKs ask for, is \
a quarter of numbers. All members: `platform.openai.com/docs/api-reference/embeddings`."""


# A second address, as in gateway.py.
@blueprint.post("/v1/embeddings", stream=True, ctx_speaks="openai", name="embed_again")
@blueprint.post(
    "/embeddings",
    stream=True,
    ctx_speaks="openai",
    ctx_doc=Doc(
        "Gateway",
        "Embeddings, in OpenAI's shape",
        [Answer("the embeddings", EmbeddingList, headers=(*RATE, *SPENT))],
        about=_ABOUT,
        credential="any key",
        body=NewEmbeddings,
        refusals=REFUSALS,
        rated=True,
    ),
)
def embed(request: Request, tenant_id: TenantId) -> Awaitable[Reply | None]:
    return call_provider(request, EMBEDDINGS, _plan, body.OF_EMBEDDINGS)


def _plan(text: bytearray, caller: Caller, config: TenantConfig) -> tuple[Asked, list[Attempt]]:
    is_long = len(text) > body.ASIDE_BYTES
    sent, wire, who = body.parse(text), caller.wire, caller.who
    ask = wire.ask(sent)
    target = find_embedder(config.providers.embeddings, ask.model)
    user = user_of_tenant(who.tenant_id, who.user_id)
    asked = Asked(sent, wire, ask, measure_inputs(sent), caller.headers, user, is_long)
    return asked, plan_attempts(asked, [target])
