"""What a restricted key may ask for, of what its tenant offers."""

from server.gateway.attempts import Attempt
from server.gateway.endpoints import Endpoints
from server.metering.rules import Fault
from server.who import RestrictedKey


def models_of(
    key: RestrictedKey | None, endpoints: Endpoints
) -> set[tuple[str, str] | None] | None:
    """The endpoints and their models that this key may ask for, None for all. However a request has
    spelled that: what the key's own names stand for is compared with what would be asked."""
    if key is None or key.models is None:
        return None
    return {endpoints.find(one) for one in key.models}


def is_for_prompt(key: RestrictedKey | None, shown: str) -> bool:
    """May it be used for this prompt, whatever its model? `shown`: what a client asks for."""
    return key is None or key.models is None or shown in key.models


def for_key(
    key: RestrictedKey | None, endpoints: Endpoints | None, attempts: list[Attempt]
) -> tuple[list[Attempt], Fault | None]:
    """Those of a call's attempts that the key is for, all if it is none. If the first is not one of
    them, that is the fault, which is told when it is known that there still is such a key."""
    if key is None or endpoints is None:
        return attempts, None
    if attempts[0].ask.prompt:
        shown = attempts[0].ask.model
        if is_for_prompt(key, shown):
            return attempts, None
        return attempts[:1], ("model_not_allowed", f"This key is not for {shown!r}")
    models = models_of(key, endpoints)
    if models is None:
        return attempts, None
    allowed = [one for one in attempts if (one.target.name, one.target.model) in models]
    if allowed[:1] != attempts[:1]:
        model = attempts[0].target.model[:100]
        return attempts[:1], ("model_not_allowed", f"This key is not for the model {model!r}")
    return allowed, None
