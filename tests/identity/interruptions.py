"""Deletions that were interrupted, made by hand, and what is left of one that was not."""

import json

from tests.api import User
from tests.identity.people import Person, SignedIn, account_key, index_of, records_of
from tests.processes import Valkey
from tests.stored import keys_key, left_ms, put, record, user_key

DAY_MS = 86_400_000


def keys_of(valkey: Valkey, user: User) -> set[str]:
    """The user's own, less that of the user itself."""
    return set(valkey.client.scan_iter(f"{{user:{user.user_id}}}:*", count=1000))


def assert_gone(valkey: Valkey, user: User, index: dict[str, str]) -> None:
    """What is left of it says nothing of a person, and goes by itself."""
    assert keys_of(valkey, user) == set()
    assert records_of(valkey, user) == set()
    left = record(valkey, user)
    assert left.keys() == {"createdAt", "tenantId", "tokensLeft", "apiKeys", "holds", "closed"}
    assert (left["tokensLeft"], left["apiKeys"], left["closed"]) == (0, {}, True)
    assert 0 < left_ms(valkey, user_key(user)) <= DAY_MS
    assert index
    for key in index:
        assert json.loads(str(valkey.client.get(key))).keys() == {"userId", "at"}
        assert json.loads(str(valkey.client.get(key)))["userId"] == ""
        assert 399 * DAY_MS < left_ms(valkey, key) <= 400 * DAY_MS


def busy(person: Person) -> SignedIn:
    """With each kind of key that a user can have."""
    user = person.sign_in(person.app.api.login())
    user.charge(1, **{"Idempotency-Key": "once"})
    user.hold({"tokens": 5})
    user.restricted(tokens=1)
    return user


def close(valkey: Valkey, user: User) -> None:
    """As lua/close.lua leaves it."""
    stored = record(valkey, user)
    for key in stored["apiKeys"]:
        valkey.client.hdel(account_key(user), f"key:{key}")
        valkey.client.hset(account_key(user), f"ended:{key}", "1")
    put(valkey, user, stored | {"apiKeys": {}, "closing": True})
    valkey.client.delete(keys_key(user))


def release(valkey: Valkey, user: User) -> None:
    close(valkey, user)
    for key in index_of(valkey, user):
        valkey.client.set(key, json.dumps({"userId": "", "at": 1}), px=400 * DAY_MS)


def remove(valkey: Valkey, user: User) -> None:
    release(valkey, user)
    valkey.client.delete(f"apiKey:{user.api_key}")


def bury_without_release(valkey: Valkey, user: User) -> None:
    """Of an identity that a login claimed for the user when all others had been released."""
    index = index_of(valkey, user)
    close(valkey, user)
    valkey.client.delete(*keys_of(valkey, user), f"apiKey:{user.api_key}")
    kept = {name: record(valkey, user)[name] for name in ("createdAt", "tenantId")}
    put(valkey, user, {**kept, "tokensLeft": 0, "apiKeys": {}, "holds": {}, "closed": True})
    valkey.client.pexpire(user_key(user), DAY_MS)
    assert index


INTERRUPTED = [close, release, remove, bury_without_release]
