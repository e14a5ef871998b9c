"""Restricted keys: made, listed and revoked by their user, and refused where they are not for."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from server.blueprints.keys import LIMITS_BYTES
from server.identity.faults import MOST_FAULTS
from server.identity.restricted import is_restricted
from tests.api import ADMIN, Api, User
from tests.callers import Load
from tests.openapi import operations
from tests.processes import Server, Valkey
from tests.stored import keys_key, left_ms, now_ms

LISTS = {"models": ["gpt-4o"], "prompts": ["haiku"], "origins": ["https://app.example"]}
NOT_ALLOWED = (403, {"error": "Key not allowed here"})
UNKNOWN = (401, {"error": "Invalid API key"})
FOR_ANY_KEY = {
    *("/balance", "/v1/models", "/v1/chat/completions", "/v1/messages"),
    *("/v1/realtime", "/v1/realtime/client_secrets", "/v1/embeddings", "/v1/models/{modelId}"),
    *("/v1/responses", "/v1/responses/{responseId}", "/v1/messages/count_tokens"),
    "/v1/moderations",
    *("/realtime/calls", "/realtime/calls/{callId}"),
}


def answer(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()


def age(valkey: Valkey, user: User, key_id: str) -> None:
    """The key expires now."""
    stored = json.loads(str(valkey.client.hget(keys_key(user), key_id)))
    stored["expiresAt"] = now_ms(valkey)
    valkey.client.hset(keys_key(user), key_id, json.dumps(stored))


def test_a_key_is_made_listed_and_revoked(api: Api, valkey: Valkey) -> None:
    user = api.login()
    reply = api.post("/keys", {"tokens": 40, "expiresIn": 600, **LISTS}, user.headers)
    made = reply.json()
    assert reply.status_code == 201
    assert set(made) == {"apiKey", "keyId", "tokens", "expiresAt"}
    assert is_restricted(made["apiKey"])
    # To servers that know nothing of such keys it must be nobody's.
    assert not valkey.client.exists(f"apiKey:{made['apiKey']}")
    plain = user.restricted(tokens=10**13)
    first, second = user.restricted_keys()
    assert first.pop("createdAt") < made["expiresAt"]
    assert first == {
        "keyId": made["keyId"],
        "tokens": 40,
        "tokensLeft": 40,
        "tokensHeld": 0,
        "tokensUsed": 0,
        "expiresAt": made["expiresAt"],
        **LISTS,
    }
    assert set(second) == set(first) - set(LISTS) | {"createdAt"}
    assert made["apiKey"] not in json.dumps([first, second])
    assert 3_500_000 < left_ms(valkey, keys_key(user)) <= 3_600_000, "as long as the last key"
    path = f"/{api.tenant_id}/keys/{made['keyId']}"
    assert api.client.delete(path, headers=user.headers).status_code == 204
    assert user.restricted_keys() == [second]
    by_itself = f"/{api.tenant_id}/keys/{plain.api_key}"
    found = [api.client.delete(by_itself, headers=user.headers).status_code for _ in range(2)]
    assert found == [204, 404]
    assert answer(api.get("/balance", plain.headers)) == UNKNOWN
    assert user.restricted_keys() == []


def test_it_sees_its_own_tokens_and_when_it_expires(api: Api) -> None:
    user = api.login()
    user.charge(7)
    whole, own = user.balance(), user.restricted(tokens=40, expiresIn=600).balance()
    assert own["expiresAt"] == user.restricted_keys()[0]["expiresAt"] < whole["expiresAt"]
    assert own == whole | {
        **{"tokensLeft": 40, "tokensHeld": 0, "tokensUsed": 0, "expiresAt": own["expiresAt"]}
    }


def test_every_other_route_refuses_it(api: Api) -> None:
    user = api.login()
    key = user.restricted(tokens=10)
    routes = [label for label, operation in operations() if {"apiKey": []} in operation["security"]]
    others = [label for label in routes if label.rpartition("{tenantId}")[2] not in FOR_ANY_KEY]
    assert len(others) == 15
    for label in others:
        method, path = label.split(" ")
        path = path.replace("{tenantId}", api.tenant_id)
        for name, value in (("holdId", "0" * 32), ("keyId", user.restricted_keys()[0]["keyId"])):
            path = path.replace(f"{{{name}}}", value)
        for headers in (key.headers, {"X-API-Key": key.api_key}):
            body = b'{"tokens": 5}' if method == "POST" else None
            reply = api.client.request(method, path, content=body, headers=headers)
            assert answer(reply) == NOT_ALLOWED, label
            assert reply.headers["x-should-retry"] == "false"
    assert user.changes() == [("grant", 100, 100)]
    assert len(user.restricted_keys()) == 1
    assert api.get("/v1/models", key.headers).status_code == 200


async def test_what_it_is_refused_has_a_rate(api: Api, server: Server) -> None:
    user = api.login()
    key = user.restricted(tokens=10)
    async with Load(server.url) as load:
        path = f"/{api.tenant_id}/ledger"
        calls = (load.call("GET", path, key.headers) for _ in range(2 * MOST_FAULTS + 600))
        found = Counter(answer.status for answer in await asyncio.gather(*calls))
    assert set(found) == {403, 429}
    assert found[429] >= 10
    assert user.charge().status_code == 200


def test_for_a_login_and_the_administration_it_is_nobodys(api: Api) -> None:
    user = api.login()
    key = user.restricted(tokens=10)
    made = api.post("/auth/anonymous", headers=key.headers)
    assert made.status_code == 200
    assert made.json()["userId"] != user.user_id
    assert answer(api.get("/admin/config", key.headers)) == (401, {"error": "Invalid admin token"})


def test_it_dies_with_its_maker_and_at_its_end(api: Api, valkey: Valkey) -> None:
    user = api.login()
    first = user.restricted(tokens=10)
    (listed,) = user.restricted_keys()
    second = user.restricted(tokens=10)
    for key in (first, second):
        assert api.get("/balance", key.headers).status_code == 200  # the workers know it
    age(valkey, user, listed["keyId"])
    for path in ("/balance", "/v1/models", "/ledger"):
        found = [api.get(path, key.headers).status_code for key in (first, second)]
        assert found == [401, 403 if path == "/ledger" else 200]
    assert len(user.restricted_keys()) == 1
    assert api.revoke(user.api_key).status_code == 204
    assert answer(api.get("/balance", second.headers)) == UNKNOWN
    assert answer(api.post("/charges", {}, second.headers)) == UNKNOWN


def test_administrators_revoke_it_too(api: Api, server: Server) -> None:
    user = api.login()
    key = user.restricted(tokens=10)
    other = Api.new_tenant(api.client)
    assert other.revoke(key.api_key).status_code == 404
    assert [api.revoke(key.api_key).status_code for _ in range(2)] == [204, 404]
    assert answer(api.get("/balance", key.headers)) == UNKNOWN
    assert user.balance()["tokensLeft"] == 100
    assert key.api_key not in server.text()


def test_it_is_of_its_tenant_and_user(api: Api) -> None:
    user, neighbour = api.login(), api.login()
    key = user.restricted(tokens=10)
    other = Api.new_tenant(api.client)
    assert answer(other.get("/balance", key.headers)) == UNKNOWN
    # As long as its own, so that a prefix or another's ID does not find it.
    for forged in (
        key.api_key[:-1] + ("0" if key.api_key[-1] != "0" else "1"),
        key.api_key.replace(user.user_id, neighbour.user_id),
        key.api_key.upper(),
        key.api_key[:-1],
        f"rk_{user.user_id}_",
    ):
        assert answer(api.get("/balance", {"X-API-Key": forged})) == UNKNOWN, forged
    key_id = user.restricted_keys()[0]["keyId"]
    for name in (key_id, key.api_key, key_id[:-1], f"{key_id}:spent", "x"):
        path = f"/{api.tenant_id}/keys/{name}"
        assert api.client.delete(path, headers=neighbour.headers).status_code == 404
    assert len(user.restricted_keys()) == 1


@pytest.mark.parametrize("most", [3, 50])
def test_so_many_are_alive_at_a_time(api: Api, valkey: Valkey, most: int) -> None:
    """Of an anonymous user, and of another."""
    user = api.login() if most == 3 else api.login().become_permanent()
    for number in range(most):
        user.restricted(tokens=5, expiresIn=600 + number)
    refused = api.post("/keys", {"tokens": 5}, user.headers)
    assert refused.status_code == 429
    assert f"{most} " in refused.json()["error"]
    assert 590 < int(refused.headers["retry-after"]) <= 600
    age(valkey, user, user.restricted_keys()[0]["keyId"])
    user.restricted(tokens=5)
    assert len(user.restricted_keys()) == most
    assert valkey.client.hlen(keys_key(user)) == most, "the dead are removed"
    assert user.charge().status_code == 200


def test_an_anonymous_users_are_small(api: Api) -> None:
    user, paid = api.login(), api.login().become_permanent()
    long = {"models": [f"{number:02}{'m' * 93}" for number in range(10)]}
    assert len(json.dumps(long, separators=(",", ":"))) <= LIMITS_BYTES
    for one, status in ((user, 422), (paid, 201)):
        reply = api.post("/keys", {"tokens": 5, **long}, one.headers)
        assert reply.status_code == status, reply.text
    some = {"models": ["m" * 100]}
    for one, expected in ((user, [201, 201, 429]), (paid, [201] * 3)):
        replies = [api.post("/keys", {"tokens": 5, **some}, one.headers) for _ in range(3)]
        assert [reply.status_code for reply in replies] == expected


FAULTY: dict[str, Any] = {
    "tokens": [None, 0, -1, 1.5, "5", True, 10**13 + 1],
    "expiresIn": [9, 2_592_001, "600", 60.5, None, True],
    "models": ["gpt-4o", None, {"a": 1}, [1], [""], ["m" * 201], [["a"]], ["m"] * 21],
    "prompts": ["haiku", [None]],
    "origins": ["https://app.example", ["*"], ["app.example"], ["https://app.example/"], [5]],
    "scopes": [["all"]],
}


@pytest.mark.parametrize("name", FAULTY)
def test_what_is_wrong_is_told_and_nothing_is_made(api: Api, name: str) -> None:
    user = api.login()
    for value in FAULTY[name]:
        reply = api.post("/keys", {"tokens": 5, name: value}, user.headers)
        assert reply.status_code == 422, value
        (fault,) = reply.json()["details"]
        assert re.fullmatch(rf"{name}(\.\d+)?", fault["path"])
    assert api.post("/keys", {}, user.headers).status_code == 422
    assert user.restricted_keys() == []


def test_every_fault_is_told(api: Api) -> None:
    user = api.login()
    body = {"expiresIn": 1, "models": [5], "prompts": 5, "origins": ["*", "x"]}
    details = api.post("/keys", body, user.headers).json()["details"]
    paths = ["tokens", "expiresIn", "models.0", "prompts", "origins.0", "origins.1"]
    assert [fault["path"] for fault in details] == paths
    long = {"tokens": 5, "models": ["m" * 200] * 5}
    details = api.post("/keys", long, user.headers).json()["details"]
    assert [fault["path"] for fault in details] == [""]


ODD_LIMITS: list[Any] = [
    *([], 5, {"models": 5}, {"models": "abc"}, {"prompts": [5]}, {"origins": {"a": 1}}),
    *({"models": [[]]}, {"origins": [{}]}, {"models": None}),
]


def with_limits(limits: Any) -> Callable[[Valkey, str, str], object]:
    def write(valkey: Valkey, name: str, key_id: str) -> None:
        stored = json.loads(str(valkey.client.hget(name, key_id))) | {"limits": limits}
        valkey.client.hset(name, key_id, json.dumps(stored))

    return write


BROKEN: dict[str, Callable[[Valkey, str, str], object]] = {
    "a set": lambda valkey, name, _: (valkey.client.delete(name), valkey.client.sadd(name, "a")),
    "no JSON": lambda valkey, name, key_id: valkey.client.hset(name, key_id, "{"),
    "a number": lambda valkey, name, key_id: valkey.client.hset(name, key_id, "5"),
    "no amount": lambda valkey, name, key_id: valkey.client.hset(name, f"{key_id}:spent", "x"),
    "no limits": lambda valkey, name, key_id: valkey.client.hset(
        name,
        key_id,
        '{"digest":"a","maker":"b","tokens":5,"createdAt":1,"expiresAt":9999999999999}',
    ),
    **{f"limits {limits}": with_limits(limits) for limits in ODD_LIMITS},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_one_is_for_its_user_alone(
    api: Api, valkey: Valkey, server: Server, what: str
) -> None:
    user = api.login()
    key = user.restricted(tokens=5)
    name, key_id = keys_key(user), user.restricted_keys()[0]["keyId"]
    BROKEN[what](valkey, name, key_id)
    before = valkey.client.dump(name)
    assert api.get("/balance", key.headers).status_code == 503
    if what != "no limits":
        assert api.get("/keys", user.headers).status_code == 503
    if "limits" in what:  # which the script does not read
        assert api.post("/v1/messages", {}, key.headers).status_code == 503
    else:
        assert api.post("/keys", {"tokens": 5}, user.headers).status_code == 503
    assert user.charge().status_code == 200
    assert valkey.client.dump(name) == before
    assert "Traceback" not in server.text()
    valkey.client.delete(name)  # the audits of other tests must not find it


def test_a_user_that_moves_to_another_group_keeps_its_keys(api: Api) -> None:
    user = api.login()
    key = user.restricted(tokens=10)
    user.become_permanent()
    assert key.balance()["group"] == "paid"
    assert api.get(f"/admin/users/{user.user_id}", ADMIN).json()["tokensLeft"] == 5_000
