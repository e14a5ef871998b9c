"""What the groups of a config, and a restricted key, say of a session or call of voice."""

from server.amounts import LARGEST
from server.metering.errors import NotAllowed
from server.metering.rules import (
    MODEL_NOT_ALLOWED,
    NO_FAULT,
    PROMPTS_ONLY,
    UNKNOWN_GROUP,
    Fault,
    Rules,
    without_faults,
)
from server.tenants.config import TenantConfig
from server.tenants.endpoints import RealtimeEndpoints
from server.tenants.policies import ANY_NUMBER, Policy
from server.who import RestrictedKey


def voice_rules(
    config: TenantConfig, key: RestrictedKey | None, endpoint: str, model: str
) -> Rules:
    """For each hold of a session or call at this realtime endpoint, which exists; `key` is the one
    that it came with, if that is restricted. `model` as RealtimeEndpoints.find has it."""
    policies = config.policies
    if key is None and policies.are_open and policies.each[0].has_voice:
        return without_faults(policies.open_verdicts)
    faults = voice_faults(config, key, endpoint, model)
    told = [
        str(number) if fault else f"{number} {LARGEST} {policy.concurrent or ANY_NUMBER}"
        for number, (policy, fault) in enumerate(zip(policies.each, faults, strict=True))
    ]
    return Rules(policies.verdicts(told), [fault or NO_FAULT for fault in faults])


def check_voice(
    config: TenantConfig, key: RestrictedKey | None, group: str, asked: tuple[str, str] | None
) -> None:
    """The same before there is a hold, of a user whose group is known. `asked`: endpoint and model;
    None if that is not known yet. Raises NotAllowed."""
    policy, realtime = config.policies.find(group), config.providers.realtime
    assert realtime is not None
    if policy is None:
        raise NotAllowed(*UNKNOWN_GROUP)
    fault = _fault_of_group(policy)
    if fault is None and asked is not None:
        fault = _fault_of_key(key, realtime, *asked) or _fault(policy, *asked)
    if fault is not None:
        raise NotAllowed(*fault)


def voice_faults(
    config: TenantConfig, key: RestrictedKey | None, endpoint: str, model: str
) -> list[Fault | None]:
    """As `voice_rules`: what each policy, by its number, refuses such a session or call with."""
    realtime = config.providers.realtime
    assert realtime is not None
    of_key = _fault_of_key(key, realtime, endpoint, model)
    return [of_key or _fault(policy, endpoint, model) for policy in config.policies.each]


def _fault(policy: Policy, endpoint: str, model: str) -> Fault | None:
    fault = _fault_of_group(policy)
    if fault is None and not policy.voice.may_use(endpoint, model):
        return MODEL_NOT_ALLOWED
    return fault


def _fault_of_group(policy: Policy) -> Fault | None:
    if policy.prompts_only:
        return PROMPTS_ONLY
    if not policy.has_voice:
        return "endpoint_not_allowed", "The user's group may not use realtime endpoints"
    return None


def _fault_of_key(
    key: RestrictedKey | None, realtime: RealtimeEndpoints, endpoint: str, model: str
) -> Fault | None:
    if key is None or key.models is None:
        return None
    if (endpoint, model) in {realtime.find(name) for name in key.models}:
        return None
    return "model_not_allowed", f"This key is not for the model {model[:100]!r}"
