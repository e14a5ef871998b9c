"""API keys with a deadline, from which on they are refused, and what was made with them too."""

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from tests.api import Api, User
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey
from tests.stored import keys_key, now_ms, put, record

UNKNOWN = 401, {"error": "Invalid API key"}
HOUR_MS = 3_600_000


def set_deadline(valkey: Valkey, user: User, deadline_ms: object) -> None:
    keys = record(valkey, user)["apiKeys"] | {user.api_key: deadline_ms}
    put(valkey, user, record(valkey, user) | {"apiKeys": keys})


def another_key(valkey: Valkey, user: User) -> User:
    """The same user with a key without a deadline."""
    other = User(user.api, {"apiKey": f"key_{uuid4()}", "userId": user.user_id})
    set_deadline(valkey, other, True)
    valkey.client.set(f"apiKey:{other.api_key}", user.user_id)
    return other


def answer(reply: httpx.Response) -> tuple[int, object]:
    return reply.status_code, reply.json()


ROUTES: dict[str, Callable[[User], httpx.Response]] = {
    "charge": User.charge,
    "hold": lambda user: user.hold({"tokens": 1}),
    "settle": lambda user: user.settle("0" * 32, 1),
    "balance": lambda user: user.api.get("/balance", user.headers),
    "ledger": lambda user: user.api.get("/ledger", user.headers),
    "list of keys": lambda user: user.api.get("/keys", user.headers),
    "new key": lambda user: user.api.post("/keys", {"tokens": 1}, user.headers),
    "models": lambda user: user.api.get("/v1/models", user.headers),
}


def test_it_opens_all_before_its_deadline_and_nothing_from_then_on(
    api: Api, valkey: Valkey
) -> None:
    user = api.login()
    set_deadline(valkey, user, now_ms(valkey) + HOUR_MS)
    assert {name for name, ask in ROUTES.items() if ask(user).status_code == 401} == set()
    set_deadline(valkey, user, now_ms(valkey))
    before = record(valkey, user)
    for name, ask in ROUTES.items():
        status, body = answer(ask(user))
        assert status == 401, name
    assert body, "models are in the shape of the SDKs"
    assert record(valkey, user) == before
    assert audit(valkey, api).returncode == 0


def test_other_keys_of_the_user_are_not_affected(api: Api, valkey: Valkey) -> None:
    user = api.login()
    other = another_key(valkey, user)
    set_deadline(valkey, user, 1)
    assert answer(user.charge()) == UNKNOWN
    assert other.charge().status_code == 200


def test_a_restricted_key_dies_with_its_maker(api: Api, valkey: Valkey) -> None:
    user = api.login()
    other = another_key(valkey, user)
    set_deadline(valkey, user, now_ms(valkey) + HOUR_MS)
    key = user.restricted(tokens=5)
    assert key.balance()["tokensLeft"] == 5
    set_deadline(valkey, user, now_ms(valkey))
    assert answer(api.get("/balance", key.headers)) == UNKNOWN
    assert other.restricted_keys() == []
    other.restricted(tokens=5)
    assert valkey.client.hlen(keys_key(user)) == 1


def test_it_can_be_revoked_before_and_after(api: Api, valkey: Valkey) -> None:
    for deadline_ms in (1, now_ms(valkey) + HOUR_MS):
        user = api.login()
        set_deadline(valkey, user, deadline_ms)
        assert [api.revoke(user.api_key).status_code for _ in range(2)] == [204, 404]
        assert record(valkey, user)["apiKeys"] == {}


@pytest.mark.parametrize("body", [{"tokens": 5}, {"group": "paid"}])
def test_a_grant_lets_keys_go_that_are_past_and_gives_no_other_a_longer_life(
    api: Api, valkey: Valkey, body: dict[str, object]
) -> None:
    user = api.login()
    later = now_ms(valkey) + HOUR_MS
    for name, deadline_ms in {"key_past": 1, "key_rotated": later, "key_other": True}.items():
        key = User(api, {"apiKey": name, "userId": user.user_id})
        set_deadline(valkey, key, deadline_ms)
        valkey.client.set(f"apiKey:{name}", user.user_id, pxat=later)
    assert user.grant(body).status_code == 200
    kept = {user.api_key: True, "key_other": True, "key_rotated": later}
    assert record(valkey, user)["apiKeys"] == kept
    ends = [valkey.client.pexpiretime(f"apiKey:{name}") for name in kept]
    assert ends == [-1, -1, later]


@pytest.mark.parametrize("deadline", ["later", [1], {}, None])
def test_one_that_is_none_is_503_for_its_user(
    api: Api, server: Server, valkey: Valkey, deadline: object
) -> None:
    user = api.login()
    set_deadline(valkey, user, deadline)
    before = record(valkey, user)
    assert user.charge().status_code == 503
    assert record(valkey, user) == before
    assert "Traceback" not in server.text()
    valkey.client.delete(f"user:{user.user_id}")  # the audits of other tests must not find it
