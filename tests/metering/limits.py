"""A tenant's limits in tests: users who have some, and what of them is counted as used."""

from collections.abc import Sequence

from tests.api import Api, User, config
from tests.processes import Valkey

DAY_MS = 86_400_000
REFUSED = {"error": "Tenant limit reached"}


def limited(api: Api, users: int = 1, rate_limit: int = 10_000, **limits: int) -> list[User]:
    """Users with 1,000 tokens each, of a tenant with these limits."""
    set_limits(api, rate_limit, **limits)
    return [api.login() for _ in range(users)]


def set_limits(api: Api, rate_limit: int = 10_000, **limits: int) -> None:
    group = {"tokens": 1_000, "rate_limit": rate_limit, "rate_limit_window": 60}
    value = config(anonymous=group) | {"limits": limits}
    assert api.put_config(value).status_code == 200


def counter_key(api: Api, limit: str = "tokens_per_day") -> str:
    return f"{{tenant:{api.tenant_id}:config}}:limit:{limit}"


def counted(valkey: Valkey, api: Api, limit: str = "tokens_per_day") -> int:
    """What is leased to workers: used, or ahead."""
    return int(str(valkey.client.hget(counter_key(api, limit), "taken") or 0))


def used(users: Sequence[User]) -> int:
    return sum(user.balance()["tokensUsed"] for user in users)


def held(users: Sequence[User]) -> int:
    return sum(user.balance()["tokensHeld"] for user in users)
