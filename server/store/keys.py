"""Every Redis key name.

A script's keys must share one slot of a Redis Cluster. `user:<userId>` hashes by its whole name,
and so does anything that carries that whole name in braces: `{user:<userId>}:rate` is always
in the slot of `user:<userId>`. Likewise for a tenant's config, its tombstone and what is counted
against its limits, though each of these counters is alone in its script; and the counters of a
tenant's logins share a slot of their own.
"""

import base64
import hashlib
from functools import lru_cache


def config(tenant_id: str) -> str:
    return f"tenant:{tenant_id}:config"


def config_deleted(tenant_id: str) -> str:
    return f"{{tenant:{tenant_id}:config}}:deleted"


LIMITS = ("streams", "calls_per_minute", "tokens_per_day")


def limit(tenant_id: str, name: str) -> str:
    """What is leased to workers of one of the tenant's LIMITS."""
    return f"{{tenant:{tenant_id}:config}}:limit:{name}"


def logins(tenant_id: str, window: str) -> str:
    return f"{{tenant:{tenant_id}:logins}}:{window}"


def _hashed(text: str) -> str:
    # A login provider's text may have a half of a character.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def challenge(tenant_id: str, token: str) -> str:
    """Of a token that a login has brought; hashed, so that its size is bounded."""
    return logins(tenant_id, f"challenge:{_hashed(token)}")


def redirect(tenant_id: str, state: str) -> str:
    """Of a sign-in that is at its provider. Hashed, here and below: who can read Redis' keys cannot
    go on with it."""
    return f"tenant:{tenant_id}:auth:{_hashed(state)}"


def redirect_code(tenant_id: str, code: str) -> str:
    """Of one that is back, and has not been exchanged."""
    return f"tenant:{tenant_id}:code:{_hashed(code)}"


def api_key(api_key: str) -> str:
    return f"apiKey:{api_key}"


def user(user_id: str) -> str:
    return f"user:{user_id}"


def rate(user_id: str) -> str:
    return f"{{user:{user_id}}}:rate"


def once(user_id: str) -> str:
    return f"{{user:{user_id}}}:once"


def once_fields(operation: str, idempotency_key: str | None) -> tuple[str, str]:
    """In `once`, and there of servers before this one; '' for no key. Hashed, so that its size is
    bounded; by operation, so that none can occupy another's."""
    if idempotency_key is None:
        return "", ""
    digest = hashlib.sha256(f"{operation}:{idempotency_key}".encode()).digest()
    old = f"{operation}:{_hashed(idempotency_key)}"
    return base64.urlsafe_b64encode(digest[:12]).decode(), old


def ledger(user_id: str) -> str:
    return f"{{user:{user_id}}}:ledger"


def settled(user_id: str, hold_id: str) -> str:
    return f"{{user:{user_id}}}:settled:{hold_id}"


def settles(user_id: str) -> str:
    return f"{{user:{user_id}}}:settles"


def restricted(user_id: str) -> str:
    """Restricted keys, by ID."""
    return f"{{user:{user_id}}}:keys"


def secrets(user_id: str) -> str:
    """The client secrets that are alive, for their number: each has its own record."""
    return f"{{user:{user_id}}}:secrets"


def kept_response(user_id: str, response_id: str) -> str:
    """Where a response of this user is that a provider keeps; hashed, so that its size is
    bounded."""
    return f"{{user:{user_id}}}:response:{_hashed(response_id)}"


def client_secret(secret: str) -> str:
    """What a secret of voice opens; hashed, as with redirects."""
    return f"clientSecret:{_hashed(secret)}"


def account(user_id: str) -> str:
    """What is known of a user's logins, and of what it has bought."""
    return f"{{user:{user_id}}}:account"


def payments(user_id: str) -> str:
    """What was paid for."""
    return f"{{user:{user_id}}}:payments"


def timed(user_id: str) -> str:
    """Calls billed by time that are not settled, by ID."""
    return f"{{user:{user_id}}}:calls"


def timed_settled(user_id: str, call_id: str) -> str:
    """What one of these was settled to."""
    return f"{{user:{user_id}}}:call:{call_id}"


TIMED_WORK = "{calls}:due"
"""Of all users: when each of these calls is to be looked at. In a slot of its own."""
TIMED_COUNTER = "{calls}:counter"
"""The worker that counts them."""


def timed_asked(name: str) -> str:
    """One was looked at a moment ago because somebody asked, by its name in the work list."""
    return f"{{calls}}:asked:{_hashed(name)}"


def timed_callback(token: str) -> str:
    """Which of them a provider's callback means; hashed, as who has the token may call."""
    return f"{{calls}}:callback:{_hashed(token)}"


def identity(tenant_id: str, identity: str) -> str:
    """Whose an identity is, `<provider>:<hash>`."""
    return f"tenant:{tenant_id}:identity:{identity}"


def hashed_identity(provider: str, subject: str) -> str:
    """The subject may be what its provider likes, and is personal."""
    return f"{provider}:{_hashed(subject)}"


def of_metered(user_id: str) -> tuple[str, str, str, str]:
    """What a charge works on."""
    return user(user_id), rate(user_id), once(user_id), ledger(user_id)


@lru_cache(1000)  # a call's settle finds what its hold has made: 1 % of a call
def of_holding(user_id: str) -> tuple[str, str, str, str, str]:
    """What a hold works on, and what is asked before it."""
    return *of_metered(user_id), restricted(user_id)


def of_hold(user_id: str, hold_id: str) -> tuple[str, str, str, str, str]:
    """What a settle works on."""
    user_key, _, _, ledger_key, restricted_key = of_holding(user_id)
    return user_key, ledger_key, settled(user_id, hold_id), settles(user_id), restricted_key


def of_timed(user_id: str) -> tuple[str, str, str]:
    """What is written of such a call works on these."""
    return user(user_id), ledger(user_id), timed(user_id)


def of_timed_end(user_id: str, call_id: str) -> tuple[str, str]:
    """What its settle works on besides."""
    return timed(user_id), timed_settled(user_id, call_id)


def of_keys(user_id: str) -> tuple[str, str, str]:
    """What the scripts of restricted keys work on."""
    return user(user_id), ledger(user_id), restricted(user_id)


def of_secrets(user_id: str) -> tuple[str, str, str, str]:
    """What the script of client secrets works on."""
    return *of_keys(user_id), secrets(user_id)


def of_account(user_id: str) -> tuple[str, str, str]:
    """A user with what is known of its logins."""
    return user(user_id), ledger(user_id), account(user_id)


def of_login(user_id: str) -> tuple[str, str, str, str]:
    """What a login works on, and what ends one."""
    return *of_account(user_id), restricted(user_id)


def of_payments(user_id: str) -> tuple[str, str, str, str]:
    """What the scripts of payments work on."""
    return user(user_id), ledger(user_id), account(user_id), payments(user_id)


def of_user(user_id: str) -> tuple[str, ...]:
    """All of a user's own keys, less the replies of single settles, which live for an hour, or of
    calls billed by time for a day, the number of client secrets, which lives for two hours, and
    where its responses are kept, for a week."""
    of_life = settles(user_id), restricted(user_id), account(user_id), payments(user_id)
    return *of_metered(user_id), *of_life, timed(user_id)


ALL_CONFIGS = "tenant:*:config"
ALL_USERS = "user:*"
ALL_API_KEYS = "apiKey:*"


def all_logins(tenant_id: str) -> tuple[str, str]:
    """The second is what they were called before."""
    return f"{{tenant:{tenant_id}:logins}}:*", f"tenant:{tenant_id}:logins:*"


def all_identities(tenant_id: str) -> str:
    return f"tenant:{tenant_id}:identity:*"


def user_of(key: str) -> str:
    """The user ID in the name of a user's JSON."""
    return key.removeprefix("user:")


def tenant_of_config(key: str) -> str:
    """The tenant ID in the name of its config."""
    return key.removeprefix("tenant:").removesuffix(":config")
