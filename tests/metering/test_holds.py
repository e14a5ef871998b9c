"""Holds and the ledger over HTTP: each status, each number, nothing counted twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api import Api, User, config
from tests.processes import Valkey, eventually
from tests.stored import left_ms, let_holds_expire, now_ms, record, settled_key, settles_key

HOUR_MS = 3_600_000


def test_a_hold_is_settled_to_its_cost(api: Api) -> None:
    user = api.login()
    made = user.hold({"tokens": 50, "minimum": 10})
    assert made.status_code == 201
    body = made.json()
    assert (body["tokens"], body["tokensLeft"]) == (50, 50)
    assert set(body) == {"holdId", "tokens", "tokensLeft", "expiresAt"}
    assert made.headers["ratelimit"].startswith('"requests";r=9999;t=')
    assert user.balance()["tokensHeld"] == 50
    settled = user.settle(body["holdId"], 31)
    assert (settled.status_code, settled.json()) == (200, {"tokens": 31, "tokensLeft": 69})
    balance = user.balance()
    assert (balance["tokensLeft"], balance["tokensHeld"], balance["tokensUsed"]) == (69, 0, 31)
    assert user.changes() == [("grant", 100, 100), ("hold", -50, 50), ("settle", 19, 69)]


def test_a_hold_takes_what_is_left_but_at_least_the_minimum(api: Api) -> None:
    user = api.login()
    assert user.hold({"tokens": 500, "minimum": 100}).json()["tokens"] == 100
    refused = user.hold({"tokens": 1})
    assert refused.status_code == 402
    assert refused.json() == {"error": "Payment Required", "tokensLeft": 0, "tokensHeld": 100}
    assert "ratelimit" in refused.headers


def test_settling_again_answers_the_first_reply(api: Api) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 50}).json()["holdId"]
    first = user.settle(hold_id, 20).json()
    assert user.settle(hold_id, 45).json() == first == {"tokens": 20, "tokensLeft": 80}
    user.charge(7)
    assert user.settle(hold_id, 0).json() == first
    assert user.balance()["tokensLeft"] == 73
    assert len(user.ledger()) == 4


@pytest.mark.parametrize("group", ["anonymous", "paid"])
def test_a_settles_reply_is_kept_for_an_hour(api: Api, valkey: Valkey, group: str) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 50}).json()["holdId"]
    user.grant({"group": group})
    first = user.settle(hold_id, 20)
    key = settles_key(user) if group == "anonymous" else settled_key(user, hold_id)
    assert HOUR_MS - 10_000 < left_ms(valkey, key) <= HOUR_MS
    user.grant({"group": "paid" if group == "anonymous" else "anonymous"})
    assert user.settle(hold_id, 0).json() == first.json()
    if group == "anonymous":
        hold, _, *reply = str(valkey.client.lindex(key, 0)).split()
        valkey.client.lset(key, 0, " ".join([hold, str(now_ms(valkey) - HOUR_MS), *reply]))
    else:
        valkey.client.delete(key)
    assert user.settle(hold_id, 0).status_code == 404


def test_a_temporary_user_has_50_replies_of_settles(api: Api, valkey: Valkey) -> None:
    user = api.login()
    hold_ids = [user.hold({"tokens": 1}).json()["holdId"] for _ in range(50)]
    for hold_id in hold_ids:
        user.settle(hold_id, 1)
    one_more = user.hold({"tokens": 1}).json()["holdId"]
    user.settle(one_more, 0)
    before = user.balance()
    codes = [user.settle(hold_id, 1).status_code for hold_id in (*hold_ids, one_more)]
    assert codes == [404, *[200] * 50]
    assert user.balance() == before
    assert valkey.client.llen(settles_key(user)) == 50


def test_cost_zero_releases(api: Api) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 50}).json()["holdId"]
    assert user.settle(hold_id, 0).json() == {"tokens": 0, "tokensLeft": 100}
    assert user.changes()[-1] == ("release", 50, 100)


def test_what_exceeds_the_hold_comes_from_the_balance_and_the_rest_is_overrun(
    api: Api, valkey: Valkey
) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 50}).json()["holdId"]
    assert user.settle(hold_id, 130).json() == {"tokens": 100, "tokensLeft": 0}
    stored = record(valkey, user)
    assert (stored["overrun"], stored["tokensUsed"], stored["tokensLeft"]) == (30, 100, 0)
    assert user.changes()[-2:] == [("settle", -50, 0), ("overrun", 0, 0)]
    assert user.ledger()[0]["ref"] == {"overrun": 30}


def test_overrun_has_a_bound_too(api: Api, valkey: Valkey) -> None:
    """A larger number would come back from the user's JSON changed."""
    user = api.login()
    for _ in range(2):
        hold_id = user.hold({"tokens": 1}).json()["holdId"]
        assert user.settle(hold_id, 10**13).status_code == 200
        user.grant({"tokens": 1})
    assert record(valkey, user)["overrun"] == 10**13


@pytest.mark.parametrize("hold_id", ["0" * 32, "x", "a b", "%ff", "0" * 200])
def test_unknown_holds_are_404(api: Api, hold_id: str) -> None:
    reply = api.login().settle(hold_id, 1)
    assert (reply.status_code, reply.json()) == (404, {"error": "Unknown hold"})


def test_another_users_hold_is_unknown(api: Api) -> None:
    owner, other = api.login(), api.login()
    hold_id = owner.hold({"tokens": 50}).json()["holdId"]
    assert other.settle(hold_id, 0).status_code == 404
    assert owner.balance()["tokensHeld"] == 50


def test_an_expired_hold_goes_back_with_the_next_script(api: Api, valkey: Valkey) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 60}).json()["holdId"]
    let_holds_expire(valkey, user)
    assert user.charge(100).json() == {"tokensLeft": 0}
    assert user.settle(hold_id, 60).status_code == 404
    assert user.changes()[1:] == [("hold", -60, 40), ("expire", 60, 100), ("charge", -100, 0)]


@pytest.mark.parametrize(
    "ask",
    [
        User.balance,
        User.ledger,
        lambda user: user.charge(101),
        lambda user: user.hold({"tokens": 101}),
        lambda user: user.settle("0" * 32, 1),
    ],
    ids=["balance", "ledger", "refused charge", "refused hold", "unknown hold"],
)
def test_it_goes_back_once_even_if_nothing_else_is_written(
    api: Api, valkey: Valkey, ask: Callable[[User], object]
) -> None:
    user = api.login()
    user.hold({"tokens": 60})
    let_holds_expire(valkey, user)
    for _ in range(2):
        ask(user)
    assert user.changes()[1:] == [("hold", -60, 40), ("expire", 60, 100)]


def test_an_expired_hold_goes_back_by_itself(api: Api) -> None:
    user = api.login()
    user.hold({"tokens": 60, "ttl": 1})
    eventually(lambda: user.balance()["tokensLeft"] == 100, 2)
    assert user.balance()["tokensHeld"] == 0


def test_a_revoked_key_settles_nothing(api: Api) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 60}).json()["holdId"]
    assert api.revoke(user.api_key).status_code == 204
    assert user.settle(hold_id, 1).status_code == 401


def test_at_most_50_holds_are_open(api: Api, valkey: Valkey) -> None:
    user = api.login()
    for ttl in (600, 30, *[600] * 48):
        assert user.hold({"tokens": 1, "ttl": ttl}).status_code == 201
    refused = user.hold({"tokens": 1})
    assert (refused.status_code, refused.json()) == (429, {"error": "Too Many Requests"})
    assert 20 <= int(refused.headers["retry-after"]) <= 30  # when the first of them goes back
    let_holds_expire(valkey, user)
    assert user.hold({"tokens": 100}).status_code == 201


def test_a_hold_is_replayed_with_its_idempotency_key(api: Api) -> None:
    user = api.login()
    key = {"Idempotency-Key": "one"}
    first = user.hold({"tokens": 50}, **key)
    again = user.hold({"tokens": 50, "minimum": 50, "ttl": 60}, **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["ratelimit"].startswith('"requests";r=9999;')
    reused = user.hold({"tokens": 51}, **key)
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
    refused = user.hold(body)
    assert refused.status_code == 422
    assert [fault["path"] for fault in refused.json()["details"]] == [path]
    assert user.balance()["tokensLeft"] == 100


def test_a_group_gives_its_tokens_less_what_is_held(api: Api) -> None:
    user = api.login()
    hold_id = user.hold({"tokens": 60}).json()["holdId"]
    assert user.grant({"group": "paid"}).json() == {"tokensLeft": 4940, "group": "paid"}
    assert user.settle(hold_id, 10).json() == {"tokens": 10, "tokensLeft": 4990}
    assert user.changes()[-2:] == [("group", 4900, 4940), ("settle", 50, 4990)]


def test_the_ledger_is_paged_numbered_and_refers_to_its_requests(api: Api) -> None:
    user = api.login()
    for number in range(2, 6):
        user.charge(1, **{"X-Request-ID": f"request-{number}"})
    entries = user.ledger()
    assert [entry["number"] for entry in entries] == [5, 4, 3, 2, 1]
    assert [entry["tokensLeft"] for entry in entries] == [96, 97, 98, 99, 100]
    assert [entry["ref"] for entry in entries[:2]] == [
        {"requestId": "request-5"},
        {"requestId": "request-4"},
    ]
    assert [entry["number"] for entry in user.ledger("?limit=2")] == [5, 4]
    assert [entry["number"] for entry in user.ledger("?limit=2&before=4")] == [3, 2]
    assert user.ledger("?before=1") == []
    for query in ("?limit=0", "?limit=201", "?limit=x", "?before=0", "?before=-1"):
        assert api.get(f"/ledger{query}", user.headers).status_code == 422


@pytest.mark.parametrize(("group", "most"), [("anonymous", 50), ("paid", 200)])
def test_the_newest_entries_are_kept(api: Api, group: str, most: int) -> None:
    user = api.login()
    user.grant({"group": group})
    user.grant({"tokens": 1000})
    for _ in range(most + 8):
        user.charge(1)
    newest = most + 11
    entries = user.ledger("?limit=200")
    assert [entry["number"] for entry in entries] == list(range(newest, newest - most, -1))
    assert user.ledger(f"?before={newest - most + 1}") == []
    user.grant({"group": "anonymous"})
    assert len(user.ledger("?limit=200")) == 50


def test_concurrent_holds_never_exceed_the_balances(client: httpx.Client) -> None:
    group = {"tokens": 5, "rate_limit": 10_000, "rate_limit_window": 60}
    api = Api.new_tenant(client, config(anonymous=group))
    users = [api.login() for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: users[n % 4].hold({"tokens": 1}), range(80)))
    assert sorted(reply.status_code for reply in replies) == [201] * 20 + [402] * 60
    assert [user.balance()["tokensHeld"] for user in users] == [5] * 4


def test_holds_count_for_the_rate_limit_and_settles_do_not(client: httpx.Client) -> None:
    group = {"tokens": 100, "rate_limit": 2, "rate_limit_window": 60}
    user = Api.new_tenant(client, config(anonymous=group)).login()
    hold_id = user.hold({"tokens": 1}).json()["holdId"]
    assert user.settle(hold_id, 1).status_code == 200
    assert user.hold({"tokens": 1}).status_code == 201
    assert user.hold({"tokens": 1}).status_code == 429
