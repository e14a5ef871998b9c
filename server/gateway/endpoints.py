"""Which endpoints a provider call may go to, and which models a tenant offers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from server.errors import NoModel, Unsupported
from server.providers.embeddings import EMBEDDINGS
from server.providers.responses import RESPONSES
from server.providers.wire import WIRES, Form, Operation, Wire
from server.tenants.embeddings import EmbeddingsEndpoint
from server.tenants.endpoints import EmbeddingsEndpoints, TextEndpoints
from server.tenants.models import Weights
from server.tenants.policies import Allowed
from server.tenants.text import TextEndpoint

MOST_FALLBACKS = 10
"""Of one call: each costs a request and a line in the log, and a config has room for thousands."""

MOST_REMEMBERED = 100
"""Names of models and operations, of a config: what is found by them is the same for each call."""

Endpoints = TextEndpoints | EmbeddingsEndpoints
_NO_FORMS = (Form("", False, False),) * 2
"""Of what has no output limit and no stream."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, and the model to ask it for, with what is the same for each call of these.

    `headers` are the endpoint's own, `secrets` what its errors must not tell. `limit` is the output
    limit of a call that has none, in tokens; `forms` how the endpoint is asked, as far as its
    config tells: for a whole reply, and for a stream.
    """

    name: str
    endpoint: TextEndpoint | EmbeddingsEndpoint
    url: str
    wire: Wire
    model: str
    api_key: str
    headers: Mapping[str, str]
    secrets: tuple[str, ...]
    weights: Weights
    limit: int
    forms: tuple[Form, Form]


class Model(NamedTuple):
    """A model by the name that a client can ask for; `owner` is its endpoint."""

    name: str
    owner: str
    weights: Weights


def find_targets(text: TextEndpoints | None, model: str, operation: Operation) -> list[Target]:
    """The endpoint for `model`, the default one's for ''; then those to fall back on. They are
    asked for the client's `operation` if they speak it, else for what it can be translated to.

    Raises NoModel if none offers it, Unsupported if a model must be named.
    """
    if text is None or not text.endpoints:
        raise NoModel("This tenant has no text provider")
    key = operation, model
    targets: list[Target] | None = text.remembered.get(key)
    if targets is None:
        targets = _find_targets(text, model, operation)
        if len(text.remembered) < MOST_REMEMBERED and (not model or model in text.offered):
            text.remembered[key] = targets
    return targets


def _find_targets(text: TextEndpoints, model: str, operation: Operation) -> list[Target]:
    found = text.find(model) if model else _default(text)
    if found is None:
        raise NoModel(f"The model {model[:100]!r} is not offered here")
    name, wanted = found
    target = _target(text, name, wanted, operation)
    if target is None:
        raise NoModel(f"The endpoint {name!r} has no url")
    targets = [target]
    for other in dict.fromkeys(text.fallback):
        if len(targets) > MOST_FALLBACKS:
            break
        fallback = text.endpoints[other]
        wanted_there = wanted if wanted in fallback.named_models else fallback.default_model
        if other == name or not wanted_there:
            continue
        if (target := _target(text, other, wanted_there, operation)) is not None:
            targets.append(target)
    return targets


def find_embedder(embeddings: EmbeddingsEndpoints | None, model: str) -> Target:
    """As find_targets, for embeddings."""
    if embeddings is None or not embeddings.endpoints:
        raise NoModel("This tenant has no provider of embeddings")
    found = embeddings.find(model) if model else _default(embeddings)
    if found is None:
        raise NoModel(f"The embeddings model {model[:100]!r} is not offered here")
    name, wanted = found
    endpoint = embeddings.endpoints[name]
    if endpoint.url is None:
        raise NoModel(f"The endpoint {name!r} has no url")
    return _target_at(name, endpoint, endpoint.url, EMBEDDINGS, wanted, _NO_FORMS)


def find_models(endpoints: Endpoints, allowed: Allowed) -> Iterator[Model]:
    """The configured models that users may ask for."""
    for shown, (name, model) in endpoints.offered.items():
        if allowed.may_use(name, model):
            yield Model(shown, name, endpoints.endpoints[name].weights(model))


def _default(endpoints: Endpoints) -> tuple[str, str]:
    """For a request that names no model."""
    name = endpoints.in_order[0]
    if endpoints.default is None and len(endpoints.endpoints) > 1:
        raise NoModel("The request names no model, and no endpoint is the default")
    wanted = endpoints.endpoints[name].default_model
    if not wanted:
        raise Unsupported("model", "model is required: the endpoint has no default_model")
    return name, wanted


def _target(text: TextEndpoints, name: str, model: str, operation: Operation) -> Target | None:
    """None if the endpoint has no URL."""
    endpoint = text.endpoints[name]
    wire, url = WIRES[text.protocols[name]], endpoint.url
    if operation == "responses" and endpoint.url_of_responses is not None:
        wire, url = RESPONSES, endpoint.url_of_responses
    if url is None:
        return None
    limit_field, has_options = endpoint.effective_limit_field, endpoint.takes_stream_options
    forms = (Form(limit_field, False, has_options), Form(limit_field, True, has_options))
    return _target_at(name, endpoint, url, wire, model, forms)


def _target_at(
    name: str,
    endpoint: TextEndpoint | EmbeddingsEndpoint,
    url: str,
    wire: Wire,
    model: str,
    forms: tuple[Form, Form],
) -> Target:
    return Target(
        name,
        endpoint,
        endpoint.asked_at(url),
        wire,
        model,
        endpoint.api_key or "",
        endpoint.headers,
        endpoint.secrets,
        endpoint.weights(model),
        endpoint.limit(model),
        forms,
    )
