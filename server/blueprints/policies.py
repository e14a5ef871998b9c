"""What the user of a request may do, where no hold is made that would tell."""

from server.blueprints.request import Request
from server.metering.errors import NotAllowed
from server.metering.rules import UNKNOWN_GROUP
from server.tenants.policies import Policy
from server.who import Who


async def policy_of(request: Request, who: Who) -> Policy:
    """Raises InvalidApiKey, NotAllowed."""
    balance = await request.services.accounts.balance(who)
    policy = request.tenant.config.policies.find(balance.group)
    if policy is None:
        raise NotAllowed(*UNKNOWN_GROUP)
    return policy
