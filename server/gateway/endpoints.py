"""Which endpoints a provider call may go to, and which models a tenant offers."""

from itertools import islice
from typing import NamedTuple

from server.errors import NoModel, Unsupported
from server.providers.wire import WIRES, ProtocolName, Wire
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


def find_targets(text: TextEndpoints | None, model: str, client: ProtocolName) -> list[Target]:
    """The endpoint for `model` ('' for any), asked for in the protocol `client`; then those to fall
    back on.

    Raises NoModel if there is none, Unsupported if a model must be named.
    """
    if text is None or not text.endpoints:
        raise NoModel("This tenant has no text provider")
    name, wanted = _find(text, model, client)
    endpoint = text.endpoints[name]
    wanted = wanted or endpoint.default_model or ""
    if not wanted:
        raise Unsupported("model", "model is required: the endpoint has no default_model")
    if endpoint.url is None:
        raise NoModel(f"The endpoint {name!r} has no url")
    targets = [_target(text, name, endpoint.url, wanted)]
    for other in dict.fromkeys(text.fallback):
        if len(targets) > MOST_FALLBACKS:
            break
        fallback = text.endpoints[other]
        wanted_there = wanted if wanted in fallback.models else fallback.default_model
        if other != name and wanted_there and fallback.url is not None:
            targets.append(_target(text, other, fallback.url, wanted_there))
    return targets


def find_models(text: TextEndpoints | None) -> list[Model]:
    """The first MOST_MODELS of the configured models."""
    offered = text.offered if text is not None else {}
    return [Model(shown, name) for shown, (name, _) in islice(offered.items(), MOST_MODELS)]


def _find(text: TextEndpoints, model: str, client: ProtocolName) -> tuple[str, str]:
    """The endpoint's name, and the model without it."""
    if model in text.offered:  # what the list of models says comes first
        return text.offered[model]
    name, slash, rest = model.partition("/")
    if slash and name in text.endpoints:
        return name, rest
    return _for_unknown(text, model, client), model


def _for_unknown(text: TextEndpoints, model: str, client: ProtocolName) -> str:
    """The endpoint's name: for a model that no config names, one that speaks the client's protocol,
    which is likely to have it, before the default one. For '' the default one."""
    names, akin = text.in_order, text.speaking[client] if model else []
    if text.default is not None:
        return akin[0] if akin else text.default
    if len(names) == 1 or len(akin) == 1:
        return (akin or names)[0]
    raise NoModel(f"No endpoint has the model {model[:100]!r}, and none is the default")


def _target(text: TextEndpoints, name: str, url: str, model: str) -> Target:
    wire = WIRES[text.protocols[name]]
    return Target(name, text.endpoints[name], wire.url(url), wire, model)
