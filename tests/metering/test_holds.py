"""Holds and the ledger over HTTP: each status, each number, nothing counted twice."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api import Api, User, config
from tests.processes import Server, Valkey, eventually


def hold(user: User, body: object, **headers: str) -> httpx.Response:
    return user.api.post("/holds", body, {**user.headers, **headers})


def settle(user: User, hold_id: str, tokens: object) -> httpx.Response:
    return user.api.post(f"/holds/{hold_id}/settle", {"tokens": tokens}, user.headers)


def ledger(user: User, query: str = "") -> list[dict[str, object]]:
    reply = user.api.get(f"/ledger{query}", user.headers)
    assert reply.status_code == 200, reply.text
    entries: list[dict[str, object]] = reply.json()["entries"]
    return entries


def changes(user: User) -> list[tuple[object, object, object]]:
    """The ledger as (op, tokens, tokensLeft), oldest first."""
    return [(entry["op"], entry["tokens"], entry["tokensLeft"]) for entry in ledger(user)][::-1]


def let_holds_expire(valkey: Valkey, user: User) -> None:
    """Ages the user's holds instead of waiting for their deadline."""
    key = f"user:{user.user_id}"
    stored = json.loads(str(valkey.client.get(key)))
    for open_hold in stored["holds"].values():
        open_hold[1] = 1
    valkey.client.set(key, json.dumps(stored), keepttl=True)


def test_a_hold_is_settled_to_its_cost(api: Api) -> None:
    user = api.login()
    made = hold(user, {"tokens": 50, "minimum": 10})
    assert made.status_code == 201
    body = made.json()
    assert (body["tokens"], body["tokensLeft"]) == (50, 50)
    assert set(body) == {"holdId", "tokens", "tokensLeft", "expiresAt"}
    assert made.headers["ratelimit"].startswith('"requests";r=9999;t=')
    assert user.balance()["tokensHeld"] == 50
    settled = settle(user, body["holdId"], 31)
    assert (settled.status_code, settled.json()) == (200, {"tokens": 31, "tokensLeft": 69})
    balance = user.balance()
    assert (balance["tokensLeft"], balance["tokensHeld"], balance["tokensUsed"]) == (69, 0, 31)
    assert changes(user) == [("grant", 100, 100), ("hold", -50, 50), ("settle", 19, 69)]


def test_a_hold_takes_what_is_left_but_at_least_the_minimum(api: Api) -> None:
    user = api.login()
    assert hold(user, {"tokens": 500, "minimum": 100}).json()["tokens"] == 100
    refused = hold(user, {"tokens": 1})
    assert refused.status_code == 402
    assert refused.json() == {"error": "Payment Required", "tokensLeft": 0}
    assert "ratelimit" in refused.headers


def test_settling_again_answers_the_first_reply(api: Api) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 50}).json()["holdId"]
    first = settle(user, hold_id, 20).json()
    assert settle(user, hold_id, 45).json() == first == {"tokens": 20, "tokensLeft": 80}
    assert settle(user, hold_id, 0).json() == first
    assert user.balance()["tokensLeft"] == 80
    assert len(ledger(user)) == 3


def test_cost_zero_releases(api: Api) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 50}).json()["holdId"]
    assert settle(user, hold_id, 0).json() == {"tokens": 0, "tokensLeft": 100}
    assert changes(user)[-1] == ("release", 50, 100)


def test_what_exceeds_the_hold_comes_from_the_balance_and_the_rest_is_overrun(
    api: Api, valkey: Valkey
) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 50}).json()["holdId"]
    assert settle(user, hold_id, 130).json() == {"tokens": 100, "tokensLeft": 0}
    stored = json.loads(str(valkey.client.get(f"user:{user.user_id}")))
    assert (stored["overrun"], stored["tokensUsed"], stored["tokensLeft"]) == (30, 100, 0)
    assert changes(user)[-2:] == [("settle", -50, 0), ("overrun", 0, 0)]
    assert ledger(user)[0]["ref"] == {"overrun": 30}


@pytest.mark.parametrize("hold_id", ["0" * 32, "x", "a b", "%ff", "0" * 200])
def test_unknown_holds_are_404(api: Api, hold_id: str) -> None:
    reply = settle(api.login(), hold_id, 1)
    assert (reply.status_code, reply.json()) == (404, {"error": "Unknown hold"})


def test_another_users_hold_is_unknown(api: Api) -> None:
    owner, other = api.login(), api.login()
    hold_id = hold(owner, {"tokens": 50}).json()["holdId"]
    assert settle(other, hold_id, 0).status_code == 404
    assert owner.balance()["tokensHeld"] == 50


def test_an_expired_hold_goes_back_with_the_next_script(api: Api, valkey: Valkey) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 60}).json()["holdId"]
    let_holds_expire(valkey, user)
    assert user.charge(100).json() == {"tokensLeft": 0}
    assert settle(user, hold_id, 60).status_code == 404
    assert changes(user)[1:] == [("hold", -60, 40), ("expire", 60, 100), ("charge", -100, 0)]


def test_an_expired_hold_goes_back_by_itself(api: Api) -> None:
    user = api.login()
    hold(user, {"tokens": 60, "ttl": 1})
    eventually(lambda: user.balance()["tokensLeft"] == 100, 2)
    assert user.balance()["tokensHeld"] == 0


def test_a_revoked_key_settles_nothing(api: Api, valkey: Valkey) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 60}).json()["holdId"]
    path = f"/{api.tenant_id}/admin/keys/{user.api_key}"
    from tests.api import ADMIN

    assert api.client.delete(path, headers=ADMIN).status_code == 204
    assert settle(user, hold_id, 1).status_code == 401


def test_at_most_50_holds_are_open(api: Api, valkey: Valkey) -> None:
    user = api.login()
    for _ in range(50):
        assert hold(user, {"tokens": 1, "ttl": 30}).status_code == 201
    refused = hold(user, {"tokens": 1})
    assert (refused.status_code, refused.json()) == (429, {"error": "Too Many Requests"})
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    let_holds_expire(valkey, user)
    assert hold(user, {"tokens": 100}).status_code == 201


def test_a_hold_is_replayed_with_its_idempotency_key(api: Api) -> None:
    user = api.login()
    key = {"Idempotency-Key": "one"}
    first = hold(user, {"tokens": 50}, **key)
    again = hold(user, {"tokens": 50, "minimum": 50, "ttl": 60}, **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["ratelimit"].startswith('"requests";r=9999;')
    reused = hold(user, {"tokens": 51}, **key)
    assert reused.status_code == 422
    assert reused.json() == {"error": "Idempotency-Key reused with another request"}
    # A key belongs to one operation.
    assert user.charge(10, **key).json() == {"tokensLeft": 40}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "tokens"),
        ({"tokens": 0}, "tokens"),
        ({"tokens": 5.0}, "tokens"),
        ({"tokens": 10**13 + 1}, "tokens"),
        ({"tokens": 5, "minimum": 6}, "minimum"),
        ({"tokens": 5, "minimum": 0}, "minimum"),
        ({"tokens": 5, "ttl": 0}, "ttl"),
        ({"tokens": 5, "ttl": 3601}, "ttl"),
        ({"tokens": 5, "ttl": True}, "ttl"),
        ({"tokens": 5, "time": 1}, "time"),
    ],
)
def test_wrong_holds_change_nothing(api: Api, body: object, path: str) -> None:
    user = api.login()
    refused = hold(user, body)
    assert refused.status_code == 422
    assert [fault["path"] for fault in refused.json()["details"]] == [path]
    assert user.balance()["tokensLeft"] == 100


def test_a_group_gives_its_tokens_less_what_is_held(api: Api) -> None:
    user = api.login()
    hold_id = hold(user, {"tokens": 60}).json()["holdId"]
    assert user.grant({"group": "paid"}).json() == {"tokensLeft": 4940, "group": "paid"}
    assert settle(user, hold_id, 10).json() == {"tokens": 10, "tokensLeft": 4990}
    assert changes(user)[-2:] == [("group", 4900, 4940), ("settle", 50, 4990)]


def test_the_ledger_is_paged_numbered_and_refers_to_its_requests(api: Api) -> None:
    user = api.login()
    for number in range(2, 6):
        user.charge(1, **{"X-Request-ID": f"request-{number}"})
    entries = ledger(user)
    assert [entry["number"] for entry in entries] == [5, 4, 3, 2, 1]
    assert [entry["tokensLeft"] for entry in entries] == [96, 97, 98, 99, 100]
    assert [entry["ref"] for entry in entries[:2]] == [
        {"requestId": "request-5"},
        {"requestId": "request-4"},
    ]
    assert [entry["number"] for entry in ledger(user, "?limit=2")] == [5, 4]
    assert [entry["number"] for entry in ledger(user, "?limit=2&before=4")] == [3, 2]
    assert ledger(user, "?before=1") == []
    for query in ("?limit=0", "?limit=201", "?limit=x", "?before=0", "?before=-1"):
        assert api.get(f"/ledger{query}", user.headers).status_code == 422


def test_the_newest_200_entries_are_kept(api: Api) -> None:
    user = api.login()
    user.grant({"tokens": 1000})
    for _ in range(210):
        user.charge(1)
    entries = ledger(user, "?limit=200")
    assert [entry["number"] for entry in entries] == list(range(212, 12, -1))
    assert ledger(user, "?before=13") == []


def test_concurrent_holds_never_exceed_the_balances(client: httpx.Client) -> None:
    group = {"tokens": 5, "rate_limit": 10_000, "rate_limit_window": 60}
    api = Api.new_tenant(client, config(anonymous=group))
    users = [api.login() for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: hold(users[n % 4], {"tokens": 1}), range(80)))
    assert sorted(reply.status_code for reply in replies) == [201] * 20 + [402] * 60
    assert [user.balance()["tokensHeld"] for user in users] == [5] * 4


def test_holds_count_for_the_rate_limit_and_settles_do_not(client: httpx.Client) -> None:
    group = {"tokens": 100, "rate_limit": 2, "rate_limit_window": 60}
    user = Api.new_tenant(client, config(anonymous=group)).login()
    hold_id = hold(user, {"tokens": 1}).json()["holdId"]
    assert settle(user, hold_id, 1).status_code == 200
    assert hold(user, {"tokens": 1}).status_code == 201
    assert hold(user, {"tokens": 1}).status_code == 429


def test_the_audit_finds_nothing_and_then_the_fault_that_is_made(
    server: Server, api: Api, valkey: Valkey
) -> None:
    import subprocess
    import sys

    def audit() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server", "audit", "--tenant", api.tenant_id]
        env = {"REDIS_URL": valkey.url}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    users = [api.login() for _ in range(3)]
    hold(users[0], {"tokens": 20})
    users[1].grant({"group": "paid"})
    users[1].charge(7)
    clean = audit()
    assert (clean.returncode, clean.stdout) == (0, "audit: 3 users checked, 0 broken\n"), clean
    key = f"user:{users[2].user_id}"
    stored = json.loads(str(valkey.client.get(key)))
    valkey.client.set(key, json.dumps(stored | {"tokensLeft": 101}), keepttl=True)
    valkey.client.persist(f"apiKey:{users[0].api_key}")
    broken = audit()
    assert broken.returncode == 1
    assert "granted 100 is not left 101 + held 0 + used 0" in broken.stdout
    assert "API key 1 expires at another time than the user" in broken.stdout
    assert users[0].api_key not in broken.stdout
    assert broken.stdout.endswith("audit: 3 users checked, 2 broken\n")
    # The other tests' audits must not find it.
    valkey.client.set(key, json.dumps(stored), keepttl=True)
    valkey.client.pexpireat(f"apiKey:{users[0].api_key}", _expiry(valkey, users[0]))


def _expiry(valkey: Valkey, user: User) -> int:
    at: int = valkey.client.pexpiretime(f"user:{user.user_id}")
    assert at > time.time() * 1000
    return at
