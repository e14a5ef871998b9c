"""Listing: the models that a user may ask for, by the names that it can ask by."""

from collections.abc import Iterator
from itertools import islice

from server.gateway.endpoints import Endpoints, Model, find_models
from server.gateway.prompts import find_prompts
from server.gateway.restricted import is_for_prompt, models_of
from server.tenants.config import TenantConfig
from server.tenants.policies import Allowed, Policy
from server.who import RestrictedKey

MOST_MODELS = 1_000
"""In a list: whoever has a key may ask for it as often as it likes, and a config has room for ten
times as many."""

_Kinds = list[tuple[Endpoints, Allowed]]


def list_usable(config: TenantConfig, policy: Policy, key: RestrictedKey | None) -> list[Model]:
    """The first MOST_MODELS that the config names."""
    found: dict[str, Model] = {}
    for one in islice(_usable(config, policy, key), MOST_MODELS):
        found.setdefault(one.name, one)
    return list(found.values())


def find_usable(
    config: TenantConfig, policy: Policy, key: RestrictedKey | None, name: str
) -> Model | None:
    """One of them, or one that an endpoint takes though the config does not name it."""
    for one in _usable(config, policy, key):
        if one.name == name:
            return one
    for endpoints, allowed in _kinds(config, policy):
        found = endpoints.find(name)
        own = models_of(key, endpoints)
        if found is not None and allowed.may_use(*found) and (own is None or found in own):
            endpoint, model = found
            return Model(name, endpoint, endpoints.endpoints[endpoint].weights(model))
    return None


def _usable(config: TenantConfig, policy: Policy, key: RestrictedKey | None) -> Iterator[Model]:
    """Prompts come first, as they are few; of two of a name what is for text."""
    yield from (one for one in find_prompts(config, policy) if is_for_prompt(key, one.name))
    for endpoints, allowed in _kinds(config, policy):
        own = models_of(key, endpoints)
        for one in find_models(endpoints, allowed):
            if own is None or endpoints.offered[one.name] in own:
                yield one


def _kinds(config: TenantConfig, policy: Policy) -> _Kinds:
    """The endpoints of the kinds that the policy lets its users ask."""
    found: _Kinds = []
    if policy.prompts_only:
        return found
    providers = config.providers
    if policy.has_text and providers.text is not None:
        found.append((providers.text, policy.text))
    if policy.has_embeddings and providers.embeddings is not None:
        found.append((providers.embeddings, policy.embeddings))
    return found
