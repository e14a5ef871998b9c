"""A user as Redis has it, read and made older: so no test waits for a clock."""

import json
from collections.abc import Sequence
from typing import Any

from tests.api import User
from tests.processes import Valkey


def user_key(user: User) -> str:
    return f"user:{user.user_id}"


def rate_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:rate"


def once_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:once"


def ledger_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:ledger"


def settled_key(user: User, hold_id: str) -> str:
    return f"{{user:{user.user_id}}}:settled:{hold_id}"


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
    kept: dict[str, str] = valkey.client.hgetall(key)  # type: ignore[assignment]
    replies = [field for field in kept if field != "sweep"][:most]
    aged: dict[Any, Any] = {
        field: json.dumps([now + left_ms, *json.loads(kept[field])[1:]]) for field in replies
    }
    valkey.client.hset(key, mapping=aged)
    if "sweep" in kept:
        valkey.client.hset(key, "sweep", str(now))
