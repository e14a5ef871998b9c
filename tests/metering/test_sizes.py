"""What one user costs in Redis at the most: strangers make as many as logins are admitted."""

import asyncio
import hashlib
from collections.abc import Sequence
from itertools import cycle

import httpx
import pytest

from server.voice.terms import LONGEST_ID
from tests.api import Api, User, config
from tests.callers import Load
from tests.metering.exactness import statuses
from tests.processes import Server, Valkey
from tests.stored import (
    kept_replies,
    keys_key,
    ledger_key,
    once_key,
    put,
    record,
    settles_key,
)

KB = 1000
MOST_BYTES = 47_500
MOST_OF_REPLIES = 16 * 1024
KEYS = 120
RESTRICTED, RESTRICTED_BYTES, PLAIN_BYTES = 3, 600, 185
SECRETS, SECRETS_BYTES = 10, 4_000
VOICE = {"realtime": {"endpoints": {"voice": {"model": "m"}}}}
DEFAULT = {"tokens": 100, "rate_limit": 10, "rate_limit_window": 60}
"""The group `anonymous` of the first tenant."""
RICH = {"tokens": 10**13, "rate_limit": 10_000, "rate_limit_window": 60}
LONG = {"X-Request-ID": "r" * 64}


def memory(valkey: Valkey, key: str) -> int:
    return int(valkey.client.memory_usage(key, samples=0) or 0)


def sizes(valkey: Valkey, user: User, secrets: Sequence[str] = ()) -> dict[str, int]:
    """Bytes of each key of the user; `secrets`: of its client secrets."""
    found = [str(key) for key in valkey.client.scan_iter(f"*{user.user_id}*", count=1000)]
    names = [*found, f"apiKey:{user.api_key}", *secrets]
    return {name.replace(user.user_id, "<id>"): memory(valkey, name) for name in names}


def forget_rate(valkey: Valkey, user: User) -> None:
    """As if a minute had passed."""
    valkey.client.delete(f"{{user:{user.user_id}}}:rate")


def make_secret(user: User, size: int) -> str:
    """Its key in Redis; its session has so many bytes."""
    session = {"instructions": "i" * (size - len('{"instructions":""}'))}
    reply = user.api.post("/v1/realtime/client_secrets", {"session": session}, user.headers)
    assert reply.status_code == 200, reply.text
    return f"clientSecret:{hashlib.sha256(reply.json()['value'].encode()).hexdigest()}"


def once(number: int) -> dict[str, str]:
    return {**LONG, "Idempotency-Key": f"{number}".rjust(255, "k")}


def test_the_largest_user_of_the_default_group(client: httpx.Client, valkey: Valkey) -> None:
    """Whatever it does with its 100 tokens, and however long: all its keys at once."""
    api = Api.new_tenant(client, config(anonymous=DEFAULT) | {"providers": VOICE})
    user = api.login()
    secrets = []
    for _ in range(SECRETS):
        forget_rate(valkey, user)
        secrets.append(make_secret(user, SECRETS_BYTES // SECRETS))
    for number in range(KEYS):  # settled at no cost, and so again and again
        forget_rate(valkey, user)
        held = user.hold({"tokens": 10**13, "minimum": 1, "ttl": 3600}, **once(number))
        assert held.status_code == 201, held.text
        assert user.settle(held.json()["holdId"], 0).status_code == 200
    for _ in range(50):
        forget_rate(valkey, user)
        assert user.hold({"tokens": 1, "ttl": 3600}).status_code == 201
    # What a ledger's entries can be at the most: of a response of voice, with its usage.
    ref = f'{{"requestId":"{"r" * 64}","endpoint":"{"e" * 64}","model":"{"m" * 100}",'
    ref += f'"session":"{"s" * LONGEST_ID}","response":"{"r" * LONGEST_ID}",'
    ref += '"input":1000000,"output":1000000,"estimated":true}'
    for _ in range(50):
        entry = f'[10000,1795746421000,"settle",-100,100,{ref}]'
        valkey.client.lpush(ledger_key(user), entry)
    valkey.client.ltrim(ledger_key(user), 0, 49)
    for _ in range(10):
        valkey.client.lpush(f"{{user:{user.user_id}}}:rate", "1795746421000")
    left = RESTRICTED_BYTES - RESTRICTED * PLAIN_BYTES - len('"models":[""]')
    limits = {"models": ["m" * left]}
    for number in range(RESTRICTED):
        user.restricted(tokens=10**13, expiresIn=2_592_000, **(limits if number == 0 else {}))
    stored, key_ids = record(valkey, user), [key["keyId"] for key in user.restricted_keys()]
    for key_id in key_ids:
        valkey.client.hset(keys_key(user), f"{key_id}:spent", "9" * 13)
    for hold, key_id in zip(stored["holds"].values(), cycle(key_ids), strict=False):
        hold.append(key_id)
    put(valkey, user, stored)
    found = sizes(valkey, user, secrets)
    print(found, sum(found.values()))
    assert len(found) == 8 + SECRETS
    assert len(kept_replies(valkey, user)) == KEYS
    assert sum(found.values()) <= MOST_BYTES
    # 30 logins an hour from one address, every hour.
    assert 30 * 24 * sum(found.values()) <= 35 * KB * KB


@pytest.mark.parametrize("group", [DEFAULT, RICH], ids=["default", "rich"])
async def test_kept_replies_of_a_temporary_user_are_16_kb(
    client: httpx.Client, server: Server, valkey: Valkey, group: dict[str, int]
) -> None:
    """Of keys and settles, however large the amounts."""
    api = Api.new_tenant(client, config(anonymous=group | {"rate_limit": 10_000}))
    user = api.login()
    for number in range(KEYS + 5):
        held = user.hold({"tokens": 10**13, "minimum": 1, "ttl": 3600}, **once(number))
        if held.status_code == 429:
            assert 86_000 < int(held.headers["retry-after"]) <= 86_400
            break
        assert user.settle(held.json()["holdId"], 0).status_code == 200
    assert number == KEYS
    assert memory(valkey, once_key(user)) + memory(valkey, settles_key(user)) <= MOST_OF_REPLIES
    first = user.hold({"tokens": 10**13, "minimum": 1, "ttl": 3600}, **once(0))
    assert (first.status_code, first.headers["idempotent-replayed"]) == (201, "true")
    async with Load(server.url) as load:
        answers = await asyncio.gather(*(load.charge(user, 1) for _ in range(50)))
    assert set(statuses(answers)) <= {200, 402}, "without a key"
    assert valkey.client.llen(ledger_key(user)) == 50
