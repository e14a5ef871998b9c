"""What client secrets open, for how long, and how many of a user may be alive."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import NamedTuple

import httpx
import pytest

from server.errors import InvalidApiKey, Unreadable
from server.identity.client_secrets import ClientSecret, ClientSecrets
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.store.store import Store
from tests.api import Api, User, config
from tests.callers import Load
from tests.processes import Server, Valkey
from tests.stored import left_ms, now_ms, secrets_key

PATH = "/v1/realtime/client_secrets"
VOICE = {"endpoints": {"voice": {"model": "gpt-realtime-2.1", "api_key": "sk-1"}}}
MOST, MOST_BYTES = 50, 64_000
ANONYMOUS, ANONYMOUS_BYTES = 10, 4_000


class World(NamedTuple):
    secrets: ClientSecrets
    meter: Meter

    async def opens(self, secret: str) -> bool:
        """Does a session that it begins get its first hold?"""
        found = await self.secrets.find(secret)
        if found is None:
            return False
        try:
            await self.meter.hold(found.who, 1, 1, 1, "own", {})
        except InvalidApiKey:
            return False
        return True


@pytest.fixture
async def world(valkey: Valkey) -> AsyncIterator[World]:
    store = Store(valkey.url, 5)
    await store.start()
    yield World(ClientSecrets(store, 200), Meter(store, 200, Renewal(store, 200, 1_000_000)))
    await store.close()


@pytest.fixture
def voice(client: httpx.Client) -> Api:
    return Api.new_tenant(client, config() | {"providers": {"realtime": VOICE}})


def ask(user: User, seconds: int = 600, **session: object) -> httpx.Response:
    body = {"expires_after": {"seconds": seconds}, "session": session}
    return user.api.post(PATH, body, user.headers)


def secret_of(user: User, seconds: int = 600, **session: object) -> str:
    reply = ask(user, seconds, **session)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["value"])


def key_of(secret: str) -> str:
    return f"clientSecret:{hashlib.sha256(secret.encode()).hexdigest()}"


def log_out(user: User) -> httpx.Response:
    return user.api.post("/auth/logout", {}, user.headers)


def delete(user: User) -> httpx.Response:
    return user.api.client.delete(f"/{user.api.tenant_id}/auth/me", headers=user.headers)


def revoke(user: User) -> httpx.Response:
    return user.api.revoke(user.api_key)


async def test_what_it_opens(voice: Api, valkey: Valkey, world: World) -> None:
    user, session = voice.login(), {"instructions": "Speak slowly.", "tools": []}
    secret = secret_of(user, 10, **session)
    assert await world.secrets.find(secret) == ClientSecret(
        voice.tenant_id, user.user_id, user.api_key, None, session
    )
    assert await world.opens(secret)
    assert await world.opens(secret), "any number of sessions"
    assert 9_000 < left_ms(valkey, key_of(secret)) <= 10_000
    assert secret not in str(valkey.client.get(key_of(secret)))
    valkey.client.pexpire(key_of(secret), 0)
    assert not await world.opens(secret)
    assert user.balance()["tokensUsed"] == 0


async def test_what_is_none(voice: Api, valkey: Valkey, world: World) -> None:
    secret = secret_of(voice.login())
    for other in ("", "ek_", secret[:-1], f"{secret}A", f"rk{secret[2:]}", f"ek_{'A' * 43}"):
        assert await world.secrets.find(other) is None
    whole: dict[str, object] = {
        "tenantId": "a",
        "userId": "a",
        "apiKey": "a",
        "limits": None,
        "session": {},
    }
    odd = [
        *({**whole, name: 5} for name in whole),
        {**whole, "session": []},
        {**whole, "session": {"model": 5}},
        {**whole, "session": {"tools": json.loads("[" * 250 + "]" * 250)}},
    ]
    for broken in ("[]", "{", '{"apiKey": "a", "limits": []}', "\xff", *map(json.dumps, odd)):
        valkey.client.set(key_of(secret), broken)
        with pytest.raises(Unreadable):
            await world.secrets.find(secret)


@pytest.mark.parametrize("end", [log_out, delete, revoke])
async def test_it_dies_with_the_key_that_made_it(
    voice: Api, world: World, end: Callable[[User], httpx.Response]
) -> None:
    user = voice.login()
    secret = secret_of(user)
    assert await world.opens(secret)
    assert end(user).status_code == 204
    assert not await world.opens(secret)
    assert ask(user).status_code == 401


async def test_a_restricted_keys_has_its_bounds(voice: Api, valkey: Valkey, world: World) -> None:
    user = voice.login()
    key = user.restricted(tokens=5, models=["gpt-realtime-2.1"], prompts=["haiku"])
    secret = secret_of(key)
    found = await world.secrets.find(secret)
    assert found is not None
    assert found.restricted is not None
    assert found.restricted.models == frozenset({"gpt-realtime-2.1", "prompt/haiku"})
    assert found.restricted.origins is None
    assert key.api_key not in str(valkey.client.get(key_of(secret)))
    held = await world.meter.hold(found.who, 100, 1, 60_000, "own", {})
    assert held.tokens == 5
    (key_id,) = (one["keyId"] for one in user.restricted_keys())
    assert voice.client.delete(f"/{voice.tenant_id}/keys/{key_id}", headers=user.headers).is_success
    assert not await world.opens(secret)


async def test_it_dies_with_the_maker_of_its_restricted_key(voice: Api, world: World) -> None:
    user = voice.login()
    secret = secret_of(user.restricted(tokens=5))
    assert await world.opens(secret)
    assert log_out(user).status_code == 204
    assert not await world.opens(secret)


async def test_it_is_nobodys_in_another_tenant(voice: Api, world: World) -> None:
    other = Api.new_tenant(voice.client, config() | {"providers": {"realtime": VOICE}})
    found = await world.secrets.find(secret_of(voice.login()))
    assert found is not None
    who = replace(found.who, tenant_id=other.tenant_id)
    with pytest.raises(InvalidApiKey):
        await world.meter.hold(who, 1, 1, 1, "own", {})


def the_429(reply: httpx.Response) -> int:
    """After how many seconds to come again."""
    assert reply.status_code == 429, reply.text
    assert reply.json()["error"]["message"].startswith("50 client secrets of a user may be alive")
    return int(reply.headers["retry-after"])


@pytest.mark.parametrize(("permanent", "most"), [(False, ANONYMOUS), (True, MOST)])
async def test_so_many_may_be_alive(
    voice: Api, server: Server, valkey: Valkey, permanent: bool, most: int
) -> None:
    """However many are asked for at once."""
    user = voice.login().become_permanent() if permanent else voice.login()
    path = f"/{voice.tenant_id}{PATH}"
    async with Load(server.url) as load:
        answers = await asyncio.gather(
            *(load.call("POST", path, user.headers, {}) for _ in range(most + 10))
        )
    assert sorted(answer.status for answer in answers) == [200] * most + [429] * 10
    assert 590 <= the_429(ask(user)) <= 600
    assert 590_000 < left_ms(valkey, secrets_key(user)) <= 600_000
    (some, *_) = valkey.client.hkeys(secrets_key(user))
    valkey.client.hset(secrets_key(user), str(some), f"{now_ms(valkey)} 2")
    assert ask(user, 7200).status_code == 200
    assert valkey.client.hlen(secrets_key(user)) == most, "those that have expired are forgotten"
    assert 7_190_000 < left_ms(valkey, secrets_key(user)) <= 7_200_000
    assert 580 <= the_429(ask(user)) <= 600


@pytest.mark.parametrize(
    ("permanent", "most", "one"), [(False, ANONYMOUS_BYTES, 2_000), (True, MOST_BYTES, 16_000)]
)
def test_their_sessions_are_bounded(voice: Api, permanent: bool, most: int, one: int) -> None:
    user = voice.login().become_permanent() if permanent else voice.login()
    text = "x" * (one - len(json.dumps({"instructions": ""}, separators=(",", ":"))))
    for _ in range(most // one):
        secret_of(user, instructions=text)
    assert 590 <= the_429(ask(user)) <= 600


def test_one_that_is_too_large_for_an_anonymous_user(voice: Api) -> None:
    refused = ask(voice.login(), instructions="x" * ANONYMOUS_BYTES)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "session")


def test_what_redis_has_may_be_odd(voice: Api, valkey: Valkey) -> None:
    user = voice.login()
    valkey.client.hset(secrets_key(user), "0" * 16, "none")
    assert ask(user).status_code == 503
    assert user.charge(1).status_code == 200
