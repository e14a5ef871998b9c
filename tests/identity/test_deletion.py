"""Users who delete themselves, and deletions that were interrupted."""

import json
from collections.abc import Callable

import pytest

from tests.api import User
from tests.identity.interruptions import (
    INTERRUPTED,
    assert_gone,
    bury_without_release,
    busy,
    close,
    keys_of,
)
from tests.identity.people import Person, SignedIn, account_key, index_of, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import record


def test_a_user_deletes_itself(app: App, valkey: Valkey) -> None:
    person = Person(app, email="ada@example.com", name="Ada")
    user = busy(person)
    restricted = user.restricted(tokens=1)
    others = [person.sign_in(), restricted]
    Person(app, "apple").sign_in(user, link=True)
    index = index_of(valkey, user)
    assert len(index) == 2
    assert user.leave().status_code == 204
    assert not any(works(other) for other in [user, *others] * 4)
    assert_gone(valkey, user, index)
    assert user.leave().status_code == 401
    assert user.grant({"tokens": 5}).status_code == 404
    new = person.sign_in()
    assert (new.user_id != user.user_id, new.reply["tokensLeft"]) == (True, 0)


def test_an_anonymous_user_deletes_itself(app: App, valkey: Valkey) -> None:
    user = app.api.login()
    assert (
        SignedIn(app, {"apiKey": user.api_key, "userId": user.user_id}).leave().status_code == 204
    )
    assert not works(user)
    assert keys_of(valkey, user) == set()
    assert record(valkey, user)["closed"]


def test_apple_is_told(app: App) -> None:
    person = Person(app, "apple")
    app.at("apple").client(app.web, secret=app.secret)
    app.at("apple").client(app.phone, secret=app.secret)
    code = app.at("apple").code(app.phone, sub=person.claims["sub"])
    person.claims["aud"] = app.phone
    user = person.sign_in(authorizationCode=code)
    before = len(app.at("apple").do("seen")["revoked"])
    assert user.leave().status_code == 204
    (revoked,) = app.at("apple").do("seen")["revoked"][before:]
    assert revoked["client_id"] == app.phone
    assert revoked["token"].startswith("r.")


def test_apple_is_told_by_the_code_of_a_later_sign_in(app: App) -> None:
    user = Person(app, "apple").sign_in()
    app.at("apple").client(app.web, secret=app.secret)
    before = len(app.at("apple").do("seen")["revoked"])
    code = app.at("apple").code(app.web)
    assert user.leave(authorizationCode=code).status_code == 204
    assert len(app.at("apple").do("seen")["revoked"]) == before + 1


def test_who_apple_does_not_answer_is_deleted_all_the_same(app: App) -> None:
    user = Person(app, "apple").sign_in()
    assert user.leave(authorizationCode="c.unknown").status_code == 204
    assert not works(user)


@pytest.mark.parametrize(
    "body", [{"authorizationCode": ""}, {"authorizationCode": None}, {"code": "c"}]
)
def test_a_wrong_body_deletes_nothing(app: App, body: dict[str, object]) -> None:
    user = Person(app).sign_in()
    assert user.leave(**body).status_code == 422
    assert works(user)


@pytest.mark.parametrize("interrupt", INTERRUPTED)
def test_a_login_ends_an_interrupted_deletion(
    app: App, valkey: Valkey, interrupt: Callable[[Valkey, User], None]
) -> None:
    person = Person(app)
    user = busy(person)
    index = index_of(valkey, user)
    interrupt(valkey, user)
    new = person.sign_in(user)
    assert (new.user_id != user.user_id, new.reply["tokensLeft"]) == (True, 0)
    assert new.reply["previousUserId"] is None
    (again,) = index_of(valkey, new).values()
    assert json.loads(again)["userId"] == new.user_id
    if interrupt in (close, bury_without_release):  # else that login had no way to meet the user
        assert keys_of(valkey, user) == set()
        assert record(valkey, user)["closed"]
        assert records_of(valkey, user) == set()
    assert person.sign_in().user_id == new.user_id
    assert index.keys() == index_of(valkey, new).keys()


def test_a_link_meets_an_interrupted_deletion(app: App, valkey: Valkey) -> None:
    person = Person(app)
    old, user = person.sign_in(), Person(app).sign_in()
    close(valkey, old)
    linked = person.sign_in(user, link=True)
    assert (linked.user_id, linked.reply["linked"]) == (user.user_id, True)
    assert record(valkey, old)["closed"]


def test_who_has_had_a_trial_has_none_as_another_user(app: App, valkey: Valkey) -> None:
    person, other = Person(app), Person(app, "apple")
    user = person.sign_in()
    valkey.client.hset(account_key(user), "trialed", "1")
    (index,) = index_of(valkey, user)
    for _ in range(2):
        assert user.leave().status_code == 204
        assert json.loads(str(valkey.client.get(index)))["trialed"] is True
        user = person.sign_in()
        assert valkey.client.hexists(account_key(user), "trialed")
    new = other.sign_in()
    assert not valkey.client.hexists(account_key(new), "trialed")
    assert user.leave().status_code == 204
    person.sign_in(new, link=True)
    assert valkey.client.hexists(account_key(new), "trialed")
