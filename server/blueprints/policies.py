"""What the user of a request may do, where no hold is made that would tell."""

from server.blueprints.request import Request
from server.metering.errors import NotAllowed
from server.metering.rules import PROMPTS_ONLY, UNKNOWN_GROUP
from server.tenants.policies import Policy
from server.who import Who


async def policy_of(request: Request, who: Who) -> Policy:
    """Raises InvalidApiKey, NotAllowed."""
    balance = await request.services.accounts.balance(who)
    policy = request.tenant.config.policies.find(balance.group)
    if policy is None:
        raise NotAllowed(*UNKNOWN_GROUP)
    return policy


async def policy_of_text(request: Request, who: Who) -> Policy:
    """That of a user who may ask text endpoints for more than prompts. Raises as `policy_of`."""
    policy = await policy_of(request, who)
    if not policy.has_text:
        raise NotAllowed("endpoint_not_allowed", "The user's group may not use text endpoints")
    if policy.prompts_only:
        raise NotAllowed(*PROMPTS_ONLY)
    return policy
