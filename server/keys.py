"""Every Redis key name.

A script's keys must share one slot of a Redis Cluster. `user:<userId>` hashes by its whole name,
and so does anything that carries that whole name in braces: `{user:<userId>}:rate` is always
in the slot of `user:<userId>`. Likewise for a tenant's config and its tombstone.
"""


def config(tenant_id: str) -> str:
    return f"tenant:{tenant_id}:config"


def config_deleted(tenant_id: str) -> str:
    return f"{{tenant:{tenant_id}:config}}:deleted"


def logins(tenant_id: str, address: str) -> str:
    return f"tenant:{tenant_id}:logins:{address}"


def api_key(api_key: str) -> str:
    return f"apiKey:{api_key}"


def user(user_id: str) -> str:
    return f"user:{user_id}"


def rate(user_id: str) -> str:
    return f"{{user:{user_id}}}:rate"


def once(user_id: str) -> str:
    return f"{{user:{user_id}}}:once"


def of_user(user_id: str) -> list[str]:
    """All keys in a user's slot."""
    return [user(user_id), rate(user_id), once(user_id)]


ALL_CONFIGS = "tenant:*:config"
ALL_USERS = "user:*"


def all_logins(tenant_id: str) -> str:
    return f"tenant:{tenant_id}:logins:*"


def tenant_of_config(key: str) -> str:
    """The tenant ID in the name of its config."""
    return key.removeprefix("tenant:").removesuffix(":config")
