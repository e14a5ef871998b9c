"""Which endpoints a provider call may go to, and which models a tenant offers."""

from typing import NamedTuple

from server.errors import NoModel, Unsupported
from server.providers.wire import WIRES, Wire
from server.tenants.endpoints import TextEndpoint, TextEndpoints

MOST_FALLBACKS = 10
"""Of one call: each costs a request and a line in the log, and a config has room for thousands."""

MOST_MODELS = 1_000
"""In a list: whoever has a key may ask for it as often as it likes, and a config has room for ten
times as many."""


class Target(NamedTuple):
    """An endpoint, and the model to ask it for."""

    name: str
    endpoint: TextEndpoint
    url: str
    wire: Wire
    model: str


class Model(NamedTuple):
    """A model by the name that a client can ask for; `owner` is its endpoint."""

    name: str
    owner: str


def find_targets(text: TextEndpoints | None, model: str) -> list[Target]:
    """The endpoint for `model` ('' for any), then those to fall back on.

    Raises NoModel if there is none, Unsupported if a model must be named.
    """
    if text is None or not text.endpoints:
        raise NoModel("This tenant has no text provider")
    name, wanted = _find(text, model)
    endpoint = text.endpoints[name]
    wanted = wanted or endpoint.default_model or ""
    if not wanted:
        raise Unsupported("model", "model is required: the endpoint has no default_model")
    if endpoint.url is None:
        raise NoModel(f"The endpoint {name!r} has no url")
    targets = [_target(name, endpoint, endpoint.url, wanted)]
    for other in dict.fromkeys(text.fallback):
        if len(targets) > MOST_FALLBACKS:
            break
        fallback = text.endpoints[other]
        wanted_there = wanted if wanted in fallback.models else fallback.default_model
        if other != name and wanted_there and fallback.url is not None:
            targets.append(_target(other, fallback, fallback.url, wanted_there))
    return targets


def find_models(text: TextEndpoints | None) -> list[Model]:
    """The first MOST_MODELS of the configured models; one that two endpoints have, the second time
    as `endpoint/model`."""
    if text is None:
        return []
    found: dict[str, Model] = {}
    for name in _names(text):
        for model in _models(text.endpoints[name]):
            shown = f"{name}/{model}" if model in found else model
            found.setdefault(shown, Model(shown, name))
            if len(found) == MOST_MODELS:
                return list(found.values())
    return list(found.values())


def _find(text: TextEndpoints, model: str) -> tuple[str, str]:
    """The endpoint's name, and the model without it."""
    name, slash, rest = model.partition("/")
    if slash and name in text.endpoints:
        return name, rest
    names = _names(text)
    for name in names:
        endpoint = text.endpoints[name]
        if model and (model == endpoint.default_model or model in endpoint.models):
            return name, model
    if text.default is None and len(names) > 1:
        raise NoModel(f"No endpoint has the model {model[:100]!r}, and none is the default")
    return names[0], model


def _names(text: TextEndpoints) -> list[str]:
    """The default endpoint first."""
    return sorted(text.endpoints, key=lambda name: name != text.default)


def _models(endpoint: TextEndpoint) -> list[str]:
    default = [endpoint.default_model] if endpoint.default_model else []
    return [*default, *(model for model in endpoint.models if model not in default)]


def _target(name: str, endpoint: TextEndpoint, url: str, model: str) -> Target:
    wire = WIRES[endpoint.speaks(name)]
    return Target(name, endpoint, wire.url(url), wire, model)
