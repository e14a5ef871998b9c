"""What users do with their API keys: rotate, log out, and ask who they are."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api import User
from tests.identity.people import Person, SignedIn, account_key, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import left_ms, now_ms, put, record, user_key

DAY_MS = 86_400_000


def rotate(user: User) -> User:
    reply = user.api.post("/auth/rotate", headers=user.headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    return User(user.api, {**reply.json(), "userId": user.user_id})


def log_out(user: User, body: object = None) -> httpx.Response:
    return user.api.post("/auth/logout", body, user.headers)


def deadline_of(valkey: Valkey, user: User) -> int:
    deadline = record(valkey, user)["apiKeys"][user.api_key]
    assert type(deadline) is int
    return deadline


def test_me_of_an_anonymous_user(app: App) -> None:
    user = app.api.login()
    reply = app.api.get("/auth/me", user.headers)
    assert reply.json() == {
        "userId": user.user_id,
        "group": "anonymous",
        "identities": [],
        "email": None,
        "name": None,
        "keys": 1,
    }


def test_me(app: App) -> None:
    user = Person(app, email="ada@example.com", name="Ada").sign_in()
    me = user.me()
    (identity,) = me.pop("identities")
    assert identity["provider"] == "google"
    assert identity["linkedAt"].endswith("Z")
    assert me == {
        "userId": user.user_id,
        "group": "google_logged_in",
        "email": "ada@example.com",
        "name": "Ada",
        "keys": 1,
    }


def test_rotate(app: App, valkey: Valkey) -> None:
    user = Person(app).sign_in()
    new = rotate(user)
    assert works(user)
    assert works(new)
    assert 299_000 < deadline_of(valkey, user) - now_ms(valkey) <= 300_000
    assert 290_000 < left_ms(valkey, f"apiKey:{user.api_key}") <= 300_000
    assert left_ms(valkey, f"apiKey:{new.api_key}") == -1
    stored = record(valkey, user)
    put(valkey, user, stored | {"apiKeys": {user.api_key: now_ms(valkey), new.api_key: True}})
    assert not works(user)
    assert works(new)
    assert new.api.get("/auth/me", new.headers).json()["keys"] == 1


def test_the_old_key_gets_no_longer_time_by_being_rotated_again(app: App, valkey: Valkey) -> None:
    user = Person(app).sign_in()
    first = rotate(user)
    before = deadline_of(valkey, user)
    second = rotate(user)
    assert deadline_of(valkey, user) == before
    assert all(works(one) for one in (user, first, second))


def test_rotate_of_an_anonymous_user(app: App, valkey: Valkey) -> None:
    user = app.api.login()
    new = rotate(user)
    assert works(new)
    assert user.charge().status_code == 200  # with which it lives for longer than a day
    at = left_ms(valkey, user_key(user))
    assert left_ms(valkey, f"apiKey:{new.api_key}") >= at > 2 * DAY_MS
    assert not valkey.client.exists(account_key(user))
    signed_in = Person(app).sign_in(new)
    assert (signed_in.user_id, signed_in.api_key) == (user.user_id, new.api_key)
    assert left_ms(valkey, f"apiKey:{new.api_key}") == -1
    assert works(user)


def test_a_login_with_the_old_key_does_not_let_it_stay(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    rotate(user)
    before = deadline_of(valkey, user)
    again = person.sign_in(user)
    assert again.user_id == user.user_id
    assert again.api_key != user.api_key
    assert deadline_of(valkey, user) == before


def test_a_login_counts_for_the_key_that_replaces_its_own(app: App) -> None:
    user = Person(app).sign_in()
    new = rotate(user)
    assert Person(app, "apple").sign_in(new, link=True).user_id == user.user_id


def test_rotating_on_and_on_leaves_20_keys_and_the_last_one(app: App, valkey: Valkey) -> None:
    person = Person(app)
    login, key = person.sign_in(), person.sign_in()
    last: User = key
    for _ in range(25):
        before, last = last, rotate(last)
        assert works(before)
    assert works(login)
    assert len(record(valkey, login)["apiKeys"]) == 21


def test_rotate_refuses_a_key_that_does_not_work(app: App, valkey: Valkey) -> None:
    user = Person(app).sign_in()
    app.api.revoke(user.api_key)
    records = set(valkey.client.scan_iter("apiKey:*", count=1000))
    assert app.api.post("/auth/rotate", headers=user.headers).status_code == 401
    assert set(valkey.client.scan_iter("apiKey:*", count=1000)) == records


@pytest.mark.parametrize("body", [None, {}, {"everywhere": False}])
def test_log_out(app: App, valkey: Valkey, body: object) -> None:
    person = Person(app)
    user, other = person.sign_in(), person.sign_in()
    restricted = user.restricted(tokens=1)
    assert log_out(user, body).status_code == 204
    assert not any(works(one) for one in [user, restricted] * 4)
    assert works(other)
    assert records_of(valkey, user) == {other.api_key}
    assert log_out(user, body).status_code == 401
    assert person.sign_in().user_id == user.user_id


def test_log_out_everywhere(app: App, valkey: Valkey) -> None:
    person = Person(app)
    first = person.sign_in(app.api.login())
    users: list[User] = [first, person.sign_in(), first.restricted(tokens=1)]
    assert log_out(users[1], {"everywhere": True}).status_code == 204
    assert not any(works(one) for one in users * 4)
    assert records_of(valkey, first) == set()
    again = person.sign_in(first)
    assert (again.user_id, again.reply["tokensLeft"]) == (first.user_id, 1_000)


def test_log_out_of_an_anonymous_user(app: App, valkey: Valkey) -> None:
    user = app.api.login()
    assert log_out(user).status_code == 204
    assert not works(user)
    assert not valkey.client.exists(f"apiKey:{user.api_key}", account_key(user))


@pytest.mark.parametrize("body", [{"everywhere": "yes"}, {"everywhere": 1}, {"all": True}])
def test_a_wrong_body_logs_nobody_out(app: App, body: object) -> None:
    user = app.api.login()
    assert log_out(user, body).status_code == 422
    assert works(user)


def test_another_tenants_key(app: App) -> None:
    user = Person(App(app.api.client, app.double)).sign_in()
    foreign = SignedIn(app, {"apiKey": user.api_key, "userId": user.user_id})
    for path in "rotate", "logout":
        assert app.api.post(f"/auth/{path}", headers=user.headers).status_code == 401
    assert app.api.get("/auth/me", user.headers).status_code == 401
    assert foreign.leave().status_code == 401
    assert works(user)


def test_a_revoked_key_is_not_brought_back(app: App, valkey: Valkey) -> None:
    """By logins that are under way while it is revoked."""
    person = Person(app)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):
            user = person.sign_in(app.api.login(), newKey=True)
            logins = [pool.submit(person.sign_in, user) for _ in range(4)]
            assert app.api.revoke(user.api_key).status_code == 204
            assert {login.result().user_id for login in logins} == {user.user_id}
            assert not works(user)
            assert not valkey.client.exists(f"apiKey:{user.api_key}")
