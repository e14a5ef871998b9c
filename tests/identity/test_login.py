"""Anonymous logins: the reply, and what it leaves in Redis."""

import json
import re
import time
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from server.errors import Unreadable
from server.store import keys
from server.store.store import Store
from tests.api import Api, config
from tests.identity.logins import login
from tests.processes import Valkey

DAY_MS = 86_400_000


def test_the_reply_is_exactly_as_in_the_contract(client: httpx.Client) -> None:
    group = {"tokens": 77, "rate_limit": 7, "rate_limit_window": 33}
    api = Api.new_tenant(client, config(anonymous=group))
    reply = login(api)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    members = ["apiKey", "tokensLeft", "rateLimit", "rateLimitWindow", "userId", "expiresAt"]
    assert list(body) == members
    assert (body["tokensLeft"], body["rateLimit"], body["rateLimitWindow"]) == (77, 7, 33)
    assert body["apiKey"].startswith("temp_")
    for text in (body["apiKey"].removeprefix("temp_"), body["userId"]):
        assert (str(UUID(text)), UUID(text).version) == (text, 4)


def test_the_first_tenant_is_there_and_gives_what_its_config_says(client: httpx.Client) -> None:
    body = login(Api(client, "abc")).json()
    assert (body["tokensLeft"], body["rateLimit"], body["rateLimitWindow"]) == (100, 10, 60)


def test_the_keys_in_redis_are_as_specified(api: Api, valkey: Valkey) -> None:
    before = time.time()
    body = login(api).json()
    user_key, api_key = f"user:{body['userId']}", f"apiKey:{body['apiKey']}"
    assert valkey.client.get(api_key) == body["userId"]
    user = json.loads(str(valkey.client.get(user_key)))
    assert (user["tokensLeft"], user["group"], user["tenantId"]) == (
        100,
        "anonymous",
        api.tenant_id,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", user["createdAt"])
    created_at = datetime.fromisoformat(user["createdAt"])
    assert created_at.tzinfo == UTC
    assert before - 0.001 <= created_at.timestamp() <= time.time()
    expiry = valkey.client.pexpiretime(user_key)
    assert expiry == round(created_at.timestamp() * 1000) + DAY_MS
    left_to_key = int(str(valkey.client.pttl(api_key)))
    assert 30 * DAY_MS - 10_000 < left_to_key <= 30 * DAY_MS
    assert valkey.client.pexpiretime(f"{{{user_key}}}:ledger") == expiry
    balance = api.get("/balance", {"Authorization": f"Bearer {body['apiKey']}"}).json()
    assert balance["createdAt"] == user["createdAt"]
    assert datetime.fromisoformat(balance["expiresAt"]).timestamp() * 1000 == pytest.approx(expiry)
    assert body["expiresAt"] == balance["expiresAt"]


def test_user_ttl_days_is_the_lifetime(limited: Api, valkey: Valkey) -> None:
    user = limited.login()
    user.charge()
    for key in (f"user:{user.user_id}", f"apiKey:{user.api_key}"):
        assert 2 * DAY_MS - 10_000 < int(str(valkey.client.pttl(key))) <= 2 * DAY_MS


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"\xff", b"x" * 1000])
def test_a_body_is_neither_needed_nor_read(api: Api, body: bytes) -> None:
    reply = api.client.post(f"/{api.tenant_id}/auth/anonymous", content=body)
    assert reply.status_code == 200


def test_two_logins_are_two_users(api: Api) -> None:
    first, second = api.login(), api.login()
    assert first.user_id != second.user_id
    assert first.api_key != second.api_key
    first.charge(60)
    assert (first.balance()["tokensLeft"], second.balance()["tokensLeft"]) == (40, 100)


def test_without_the_tenant_there_is_no_login(client: httpx.Client) -> None:
    reply = login(Api(client, "nobody"))
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid tenant ID"})


async def test_a_user_is_not_made_twice(valkey: Valkey, api: Api) -> None:
    """IDs are random; were one given out again, it must not cost its user the balance."""
    user = api.login()
    assert user.charge(60).status_code == 200
    store = Store(valkey.url, 1)
    await store.start()
    names = [keys.user(user.user_id), keys.ledger(user.user_id)]
    with pytest.raises(Unreadable) as refused:
        await store.run("login", names, api.tenant_id, "other", "anonymous", 100, 10, 60, 1, "{}")
    await store.close()
    assert "user exists" in refused.value.reason
    assert user.balance()["tokensLeft"] == 40
