"""A user as Redis has it, read and made older: so no test waits for a clock."""

import json
from collections.abc import Sequence
from typing import Any

import redis

from tests.api import User
from tests.processes import Valkey

_EXPIRY_BYTES = 6


def user_key(user: User) -> str:
    return f"user:{user.user_id}"


def rate_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:rate"


def once_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:once"


def ledger_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:ledger"


def settled_key(user: User, hold_id: str) -> str:
    """Of a permanent user."""
    return f"{{user:{user.user_id}}}:settled:{hold_id}"


def settles_key(user: User) -> str:
    """Of a temporary user."""
    return f"{{user:{user.user_id}}}:settles"


def keys_key(user: User) -> str:
    """Of its restricted keys."""
    return f"{{user:{user.user_id}}}:keys"


def secrets_key(user: User) -> str:
    """Of the number of its client secrets."""
    return f"{{user:{user.user_id}}}:secrets"


def now_ms(valkey: Valkey) -> int:
    """By the clock that the scripts read."""
    seconds, micros = valkey.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def left_ms(valkey: Valkey, key: str) -> int:
    """Until the key expires; -1: never."""
    return int(str(valkey.client.pttl(key)))


def record(valkey: Valkey, user: User) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(str(valkey.client.get(user_key(user))))
    return stored


def put(valkey: Valkey, user: User, stored: dict[str, Any]) -> None:
    """Stores a record; its expiry stays."""
    valkey.client.set(user_key(user), json.dumps(stored), keepttl=True)


def age(valkey: Valkey, user: User, left_ms: int) -> None:
    """The user, its ledger and its key expire so soon, and nothing was asked for a while."""
    for key in (user_key(user), ledger_key(user), f"apiKey:{user.api_key}"):
        valkey.client.pexpire(key, left_ms)
    valkey.client.delete(rate_key(user))


def let_holds_expire(valkey: Valkey, user: User) -> None:
    """The deadline of each is now."""
    stored = record(valkey, user)
    for hold in stored["holds"].values():
        hold[1] = now_ms(valkey)
    put(valkey, user, stored)


def set_admissions(valkey: Valkey, user: User, ages_ms: Sequence[int]) -> None:
    """Rewrites the times of the admitted requests: how long ago each was, the newest first."""
    now, key = now_ms(valkey), rate_key(user)
    valkey.client.delete(key)
    valkey.client.rpush(key, *(now - age for age in ages_ms))


def age_replies(valkey: Valkey, user: User, most: int | None = None, left_ms: int = 0) -> None:
    """Lets the first `most` replies kept for Idempotency-Keys (default: all) expire so soon, and
    what is said of them now."""
    key, now = once_key(user), now_ms(valkey)
    kept = kept_replies(valkey, user)
    expiry = (now + left_ms).to_bytes(_EXPIRY_BYTES)
    aged: dict[Any, Any] = {field: expiry + kept[field][_EXPIRY_BYTES:] for field in [*kept][:most]}
    valkey.client.hset(key, mapping=aged)
    if valkey.client.hexists(key, "sweep"):
        valkey.client.hset(key, "sweep", str(now))


def kept_replies(valkey: Valkey, user: User) -> dict[bytes, bytes]:
    """Those kept for Idempotency-Keys, packed; each begins with when it expires."""
    with redis.Redis(port=valkey.port) as client:
        kept: dict[bytes, bytes] = client.hgetall(once_key(user))
    return {field: reply for field, reply in kept.items() if field != b"sweep"}


def replies_left_ms(valkey: Valkey, user: User) -> list[int]:
    """Until each of them expires."""
    kept = kept_replies(valkey, user).values()
    return [int.from_bytes(reply[:_EXPIRY_BYTES]) - now_ms(valkey) for reply in kept]
