"""What a restricted key may ask for, of what its tenant offers."""

from server.gateway.endpoints import Target
from server.metering.errors import NotAllowed
from server.tenants.endpoints import TextEndpoints
from server.who import RestrictedKey


def is_for(key: RestrictedKey | None, text: TextEndpoints, name: str, model: str) -> bool:
    """May this key, None for a full one, ask the endpoint `name` for `model`? However a request has
    spelled that: what the key's own names stand for is compared with what would be asked."""
    if key is None or key.models is None:
        return True
    return any(text.find(one) == (name, model) for one in key.models)


def targets_for(
    key: RestrictedKey | None, text: TextEndpoints | None, targets: list[Target]
) -> list[Target]:
    """Those of a call's targets that the key is for. Raises NotAllowed if the first is not."""
    if key is None or text is None:
        return targets
    if not is_for(key, text, targets[0].name, targets[0].model):
        raise NotAllowed("model_not_allowed", "This key is not for the model")
    return [target for target in targets if is_for(key, text, target.name, target.model)]
