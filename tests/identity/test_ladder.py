"""Who becomes whom by a login, with how many tokens."""

import json
from typing import Any

import pytest

from tests.api import ADMIN, User
from tests.identity.people import Person, account_key, index_of, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import ledger_key, left_ms, now_ms, put, record, user_key


def snapshot(valkey: Valkey, *users: User) -> list[object]:
    return [[record(valkey, user), valkey.client.hgetall(account_key(user))] for user in users]


def age_login(valkey: Valkey, user: User) -> None:
    """No login within the last hour had to do with this key."""
    hour_ago = now_ms(valkey) - 3_600_000
    assert valkey.client.hset(account_key(user), f"key:{user.api_key}", str(hour_ago)) == 0


def test_a_new_identity_is_a_new_user(app: App, valkey: Valkey) -> None:
    user = Person(app, email="ada@example.com", email_verified=True, name="Ada").sign_in()
    assert user.reply == {
        "apiKey": user.api_key,
        "tokensLeft": 1_000,
        "rateLimit": 50,
        "rateLimitWindow": 60,
        "userId": user.user_id,
        "group": "google_logged_in",
        "expiresAt": None,
        "created": True,
        "linked": False,
        "previousUserId": None,
        "profile": {"email": "ada@example.com", "emailVerified": True, "name": "Ada"},
    }
    assert user.api_key.startswith("key_")
    assert user.changes() == [("grant", 1_000, 1_000)]
    assert user.balance()["expiresAt"] is None
    assert records_of(valkey, user) == {user.api_key}


def test_a_known_identity_is_its_user(app: App) -> None:
    person = Person(app)
    first = person.sign_in()
    first.charge(400)
    second = person.sign_in()
    assert second.user_id == first.user_id
    assert second.api_key != first.api_key
    assert (second.reply["tokensLeft"], second.reply["created"]) == (600, False)
    assert works(first)
    assert first.me()["keys"] == 2


def test_an_anonymous_user_becomes_the_account(app: App, valkey: Valkey) -> None:
    anonymous = app.api.login()
    anonymous.charge(30)
    user = Person(app).sign_in(anonymous)
    assert (user.user_id, user.api_key) == (anonymous.user_id, anonymous.api_key)
    assert (user.reply["linked"], user.reply["created"]) == (True, False)
    assert user.reply["previousUserId"] is None
    assert user.balance()["tokensLeft"] == user.reply["tokensLeft"] == 1_000
    assert user.changes() == [("grant", 100, 100), ("charge", -30, 70), ("group", 930, 1_000)]
    for key in user_key(user), ledger_key(user), f"apiKey:{user.api_key}", account_key(user):
        assert left_ms(valkey, key) == -1, key


def test_what_was_given_and_what_is_held_stays(app: App) -> None:
    user = app.api.login()
    user.grant({"tokens": 500})
    hold = user.hold({"tokens": 40}).json()["holdId"]
    assert Person(app).sign_in(user).reply["tokensLeft"] == 1_000 + 500 - 40
    assert user.settle(hold, 15).json()["tokensLeft"] == 1_000 + 500 - 15


@pytest.mark.parametrize("spent", [0, 60, 100])
def test_an_anonymous_user_at_any_balance(app: App, spent: int) -> None:
    user = app.api.login()
    assert not spent or user.charge(spent).status_code == 200
    assert Person(app).sign_in(user).reply["tokensLeft"] == 1_000
    assert user.charge(1_000).json()["tokensLeft"] == 0


def test_an_anonymous_user_with_50_holds(app: App) -> None:
    user = app.api.login()
    holds = [user.hold({"tokens": 2}).json()["holdId"] for _ in range(50)]
    assert Person(app).sign_in(user).reply["tokensLeft"] == 900
    for hold in holds:
        assert user.settle(hold, 1).status_code == 200
    assert user.balance()["tokensLeft"] == 950


def test_an_anonymous_user_in_its_last_second(app: App, valkey: Valkey) -> None:
    user = app.api.login()
    for key in user_key(user), ledger_key(user), f"apiKey:{user.api_key}":
        valkey.client.pexpire(key, 1_000)
    Person(app).sign_in(user)
    for key in user_key(user), ledger_key(user), f"apiKey:{user.api_key}":
        assert left_ms(valkey, key) == -1
    assert works(user)


def test_an_anonymous_user_beside_a_known_identity(app: App, valkey: Valkey) -> None:
    person = Person(app)
    first, anonymous = person.sign_in(), app.api.login()
    before = snapshot(valkey, anonymous)
    second = person.sign_in(anonymous)
    assert second.user_id == first.user_id
    assert second.reply["previousUserId"] == anonymous.user_id
    assert second.reply["tokensLeft"] == 1_000
    assert snapshot(valkey, anonymous) == before
    assert works(anonymous)
    assert left_ms(valkey, user_key(anonymous)) > 0


def test_the_same_user_again(app: App) -> None:
    person = Person(app)
    user = person.sign_in(app.api.login())
    again = person.sign_in(user)
    assert (again.user_id, again.api_key) == (user.user_id, user.api_key)
    assert (again.reply["linked"], again.reply["tokensLeft"]) == (False, 1_000)
    assert user.changes() == [("grant", 100, 100), ("group", 900, 1_000)]


def test_a_siblings_account_does_not_open_the_first_user(app: App, valkey: Valkey) -> None:
    user, other = Person(app).sign_in(), Person(app)
    before = snapshot(valkey, user)
    first = other.sign_in(user)
    assert first.user_id != user.user_id
    assert (first.reply["created"], first.reply["previousUserId"]) == (True, None)
    assert other.sign_in(user).user_id == first.user_id
    assert snapshot(valkey, user) == before


def test_the_same_address_is_not_the_same_person(app: App) -> None:
    claims: dict[str, Any] = {"email": "ada@example.com", "email_verified": True}
    people = [Person(app, **claims), Person(app, **claims), Person(app, "apple", **claims)]
    apple = Person(app, "apple", **claims, sub=people[0].claims["sub"])
    assert len({person.sign_in().user_id for person in [*people, apple]}) == 4


def test_link(app: App) -> None:
    user = Person(app).sign_in(app.api.login())
    user.charge(100)
    assert user.grant({"group": "paid"}).status_code == 200
    other = Person(app, "apple")
    linked = other.sign_in(user, link=True)
    assert (linked.user_id, linked.api_key) == (user.user_id, user.api_key)
    assert linked.reply["linked"]
    assert (linked.reply["group"], linked.reply["tokensLeft"]) == ("paid", 5_000)
    assert other.sign_in().user_id == user.user_id
    assert {one["provider"] for one in user.me()["identities"]} == {"google", "apple"}


def test_link_of_an_anonymous_user_is_its_login(app: App) -> None:
    user = app.api.login()
    assert Person(app).sign_in(user, link=True).user_id == user.user_id


def test_link_of_an_identity_that_is_taken(app: App, valkey: Valkey) -> None:
    taken, user = Person(app), Person(app).sign_in()
    owner, anonymous = taken.sign_in(), app.api.login()
    before = snapshot(valkey, user, owner, anonymous)
    for bearer in user, anonymous:
        reply = taken.try_to_sign_in(bearer, link=True)
        assert reply.status_code == 409
        assert reply.json() == {"error": "Identity belongs to another user"}
        assert reply.headers["cache-control"] == "no-store"
    assert snapshot(valkey, user, owner, anonymous) == before
    assert taken.sign_in().user_id == owner.user_id


def test_link_needs_a_key(app: App) -> None:
    for user in None, User(app.api, {"apiKey": "unknown", "userId": ""}):
        reply = Person(app).try_to_sign_in(user, link=True)
        assert (reply.status_code, reply.json()) == (401, {"error": "Invalid API key"})


def test_link_needs_a_recent_login(app: App, valkey: Valkey) -> None:
    person, other = Person(app), Person(app)
    user = person.sign_in(app.api.login())
    age_login(valkey, user)
    reply = other.try_to_sign_in(user, link=True)
    assert (reply.status_code, reply.json()) == (403, {"error": "Recent login required"})
    assert user.leave().json() == {"error": "Recent login required"}
    # A login on another device says nothing of this key.
    person.sign_in()
    assert other.try_to_sign_in(user, link=True).status_code == 403
    person.sign_in(user)
    assert other.sign_in(user, link=True).user_id == user.user_id


@pytest.mark.parametrize(
    "kind", ["unknown", "malformed", "revoked", "expired", "of another tenant"]
)
def test_a_key_that_does_not_work_bars_no_login(app: App, valkey: Valkey, kind: str) -> None:
    user = app.api.login()
    if kind == "unknown":
        user.api_key = "temp_unknown"
    elif kind == "malformed":
        user.api_key = "not a key"
    elif kind == "revoked":
        app.api.revoke(user.api_key)
    elif kind == "expired":
        stored = record(valkey, user)
        put(valkey, user, stored | {"apiKeys": {user.api_key: now_ms(valkey) - 1}})
    else:
        user = App(app.api.client, app.double).api.login()
    new = Person(app).sign_in(user)
    assert new.user_id != user.user_id
    assert (new.reply["created"], new.reply["previousUserId"]) == (True, None)


def test_a_restricted_key_counts_as_none(app: App) -> None:
    user = app.api.login()
    restricted = user.restricted(tokens=10)
    person = Person(app)
    new = person.sign_in(restricted)
    assert (new.user_id != user.user_id, new.reply["previousUserId"]) == (True, None)
    assert person.try_to_sign_in(restricted, link=True).status_code == 401
    for method, path in ("GET", "me"), ("POST", "rotate"), ("POST", "logout"), ("DELETE", "me"):
        path = f"/{app.api.tenant_id}/auth/{path}"
        reply = app.api.client.request(method, path, headers=restricted.headers)
        assert (reply.status_code, reply.json()) == (403, {"error": "Key not allowed here"})


def test_a_group_that_an_administrator_chose_stays(app: App) -> None:
    user = app.api.login()
    user.grant({"group": "paid"})
    reply = Person(app).sign_in(user).reply
    assert (reply["userId"], reply["group"], reply["tokensLeft"]) == (user.user_id, "paid", 5_000)
    assert reply["linked"]


def test_who_has_signed_in_is_permanent_in_any_group(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in(app.api.login())
    assert user.grant({"group": "anonymous"}).json() == {"group": "anonymous", "tokensLeft": 100}
    for key in user_key(user), ledger_key(user), f"apiKey:{user.api_key}":
        assert left_ms(valkey, key) == -1, key
    again = person.sign_in()
    assert (again.user_id, again.reply["group"]) == (user.user_id, "anonymous")
    assert again.reply["tokensLeft"] == 100


def test_an_identity_has_its_tokens_once(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    for _ in range(3):
        assert user.leave().status_code == 204
        user = person.sign_in()
        assert (user.reply["created"], user.reply["tokensLeft"]) == (True, 0)
        assert user.changes() == [("grant", 0, 0)]
    assert user.leave().status_code == 204
    anonymous = app.api.login()
    anonymous.charge(30)
    promoted = person.sign_in(anonymous)
    assert (promoted.user_id, promoted.reply["tokensLeft"]) == (anonymous.user_id, 70)
    assert (promoted.reply["group"], promoted.reply["rateLimit"]) == ("google_logged_in", 50)
    (index,) = index_of(valkey, promoted).values()
    assert json.loads(index)["again"] is True


def test_many_anonymous_users_of_one_person(app: App) -> None:
    person = Person(app)
    anonymous = [app.api.login() for _ in range(10)]
    users = [person.sign_in(user) for user in anonymous]
    assert {user.user_id for user in users} == {anonymous[0].user_id}
    assert {user.reply["tokensLeft"] for user in users} == {1_000}
    assert [user.balance()["tokensLeft"] for user in anonymous[1:]] == [100] * 9


def test_a_profile_is_kept_as_it_was_last_told(app: App) -> None:
    person = Person(app, "apple", email="relay@example.com")
    user = person.sign_in(name="Ada")
    assert (user.me()["email"], user.me()["name"]) == ("relay@example.com", "Ada")
    person.claims["email"] = "new@example.com"
    person.sign_in()
    assert (user.me()["email"], user.me()["name"]) == ("new@example.com", "Ada")


def test_no_profile_is_kept_where_the_tenant_wants_none(app: App, valkey: Valkey) -> None:
    person = Person(app, email="zoe@example.com", name="Zoe")
    user = person.sign_in()
    config = app.api.client.get(f"/{app.api.tenant_id}/admin/config", headers=ADMIN).json()
    config["config"]["auth"]["keep_profile"] = False
    assert app.api.put_config(config["config"]).status_code == 200
    again = person.sign_in()
    assert again.reply["profile"]["email"] == "zoe@example.com"
    assert (user.me()["email"], user.me()["name"]) == (None, None)
    # No hexadecimal digits, of which there are many.
    assert "zoe" not in str(valkey.client.hgetall(account_key(user))).lower()


def test_new_key_ends_all_others(app: App, valkey: Valkey) -> None:
    anonymous = app.api.login()
    restricted = anonymous.restricted(tokens=10)
    person = Person(app)
    others: list[User] = [person.sign_in(anonymous), person.sign_in(), restricted]
    hold = anonymous.hold({"tokens": 5}).json()["holdId"]
    user = person.sign_in(anonymous, newKey=True)
    assert user.user_id == anonymous.user_id
    # Whichever worker is asked.
    assert not any(works(other) for other in others * 4)
    assert records_of(valkey, user) == {user.api_key}
    assert user.settle(hold, 5).json()["tokensLeft"] == 995
    assert user.me()["keys"] == 1


def test_the_promotion_with_a_new_key(app: App, valkey: Valkey) -> None:
    anonymous = app.api.login()
    user = Person(app).sign_in(anonymous, newKey=True)
    assert user.user_id == anonymous.user_id
    assert user.reply["linked"]
    assert not works(anonymous)
    assert records_of(valkey, user) == {user.api_key}


def test_20_logins_at_most(app: App, valkey: Valkey) -> None:
    person = Person(app)
    promoted = person.sign_in(app.api.login())
    logins = [person.sign_in() for _ in range(20)]
    person.sign_in(logins[0])  # which is not the oldest any more
    logins += [person.sign_in() for _ in range(2)]
    assert [number for number, user in enumerate(logins) if not works(user)] == [1, 2]
    assert works(promoted)
    kept = {user.api_key for number, user in enumerate(logins) if number not in (1, 2)}
    assert records_of(valkey, promoted) == kept | {promoted.api_key}
    assert promoted.me()["keys"] == 21
