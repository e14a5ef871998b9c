"""What another program may have stored in place of a user's keys."""

import json
from collections.abc import Callable
from typing import Any

import redis

from server.store import keys
from tests.api import User
from tests.processes import Valkey
from tests.stored import ledger_key, now_ms, once_key, record, user_key

_FINGERPRINTS = {"charge": "5", "hold": "5 5 60000", "grant": "tokens 5"}
Change = Callable[[Valkey, User], Any]


def text(value: str | bytes) -> Change:
    """In place of the user's JSON."""
    return lambda valkey, user: valkey.client.set(user_key(user), value)


def member(name: str, value: str) -> Change:
    """Of the user, as JSON or what a sloppy program takes for it."""

    def change(valkey: Valkey, user: User) -> None:
        stored = json.dumps(record(valkey, user) | {name: "..."})
        valkey.client.set(user_key(user), stored.replace('"..."', value))

    return change


def of_type(kind: str, key: Callable[[User], str]) -> Change:
    """Another type in place of the key."""

    def change(valkey: Valkey, user: User) -> None:
        name = key(user)
        valkey.client.delete(name)
        if kind == "hash":
            valkey.client.hset(name, "a", "b")
        elif kind == "set":
            valkey.client.sadd(name, "a")
        else:
            valkey.client.set(name, "text")

    return change


def owner_is(value: bytes) -> Change:
    return lambda valkey, user: valkey.client.set(f"apiKey:{user.api_key}", value)


def kept_as_json(reply: str) -> Change:
    """As servers before this one kept replies for Idempotency-Keys, here "one", of 5 tokens."""

    def change(valkey: Valkey, user: User) -> None:
        until = now_ms(valkey) + 1_000_000
        for op, fingerprint in _FINGERPRINTS.items():
            kept = f'[{until},"{fingerprint}",{reply}]'
            valkey.client.hset(once_key(user), keys.once_fields(op, "one")[1], kept)

    return change


def expires_at(ms: int) -> Change:
    return lambda valkey, user: valkey.client.pexpireat(user_key(user), ms)


def newest_entry(entry: str) -> Change:
    return lambda valkey, user: valkey.client.lset(ledger_key(user), 0, entry)


def all_of(valkey: Valkey, user: User) -> dict[str, object]:
    """Each key of the user as it is stored, and how long it lives."""
    names = [*valkey.client.scan_iter(f"*{user.user_id}*", count=1000), f"apiKey:{user.api_key}"]
    with redis.Redis(port=valkey.port) as client:  # of bytes
        return {str(name): (client.dump(name), client.pexpiretime(name)) for name in names}
