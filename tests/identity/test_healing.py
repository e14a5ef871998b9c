"""What a login that died has left, made by hand, and how the next one of that identity finds it."""

import hashlib
import json

from tests.api import User
from tests.identity.people import Person, SignedIn, account_key, index_of, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import ledger_key, left_ms, put, record, user_key


def claim(valkey: Valkey, person: Person, user_id: str, again: bool = False) -> str:
    """As lua/claim.lua leaves it."""
    digest = hashlib.sha256(person.claims["sub"].encode()).hexdigest()
    key = f"tenant:{person.app.api.tenant_id}:identity:{person.provider}:{digest}"
    valkey.client.set(key, json.dumps({"userId": user_id, "again": again, "at": 1}))
    return key


def test_a_claim_for_a_user_who_was_never_made(app: App, valkey: Valkey) -> None:
    person = Person(app)
    key = claim(valkey, person, "11111111-0000-4000-8000-000000000000")
    user = person.sign_in()
    assert user.user_id == "11111111-0000-4000-8000-000000000000"
    assert (user.reply["created"], user.reply["tokensLeft"]) == (True, 1_000)
    assert index_of(valkey, user).keys() == {key}
    assert person.sign_in().user_id == user.user_id
    assert user.balance()["tokensLeft"] == 1_000


def test_a_claim_of_an_identity_that_had_its_tokens(app: App, valkey: Valkey) -> None:
    person = Person(app)
    claim(valkey, person, "22222222-0000-4000-8000-000000000000", again=True)
    assert person.sign_in().reply["tokensLeft"] == 0


def test_a_claim_for_an_anonymous_user(app: App, valkey: Valkey) -> None:
    """From another device the user is the same, and its first key works on, for ever."""
    person, anonymous = Person(app), app.api.login()
    anonymous.charge(30)
    claim(valkey, person, anonymous.user_id)
    user = person.sign_in()
    assert user.user_id == anonymous.user_id
    assert (user.reply["created"], user.reply["linked"]) == (False, False)
    assert user.reply["tokensLeft"] == 1_000
    assert works(anonymous)
    assert records_of(valkey, user) == {user.api_key, anonymous.api_key}
    again = person.sign_in(anonymous)
    assert (again.user_id, again.api_key) == (user.user_id, anonymous.api_key)
    assert again.reply["tokensLeft"] == 1_000


def test_a_claim_for_an_anonymous_user_who_has_expired(app: App, valkey: Valkey) -> None:
    person, anonymous = Person(app), app.api.login()
    claim(valkey, person, anonymous.user_id)
    valkey.client.persist(f"apiKey:{anonymous.api_key}")  # as a login that died may have
    valkey.client.delete(user_key(anonymous), ledger_key(anonymous))
    user = person.sign_in(anonymous)
    assert (user.user_id, user.reply["created"]) == (anonymous.user_id, True)
    assert user.reply["tokensLeft"] == 1_000
    assert user.changes() == [("grant", 1_000, 1_000)]
    assert not works(anonymous)


def test_permanent_keys_of_a_temporary_user(app: App, valkey: Valkey) -> None:
    person, anonymous = Person(app), app.api.login()
    claim(valkey, person, anonymous.user_id)
    valkey.client.persist(f"apiKey:{anonymous.api_key}")
    assert person.sign_in(anonymous).api_key == anonymous.api_key
    assert left_ms(valkey, user_key(anonymous)) == -1


def dead_login(valkey: Valkey, user: User) -> str:
    """A key that a login listed, and told nobody of; its record has expired since."""
    api_key = "key_of-a-login-that-died"
    stored = record(valkey, user)
    put(valkey, user, stored | {"apiKeys": {**stored["apiKeys"], api_key: True}})
    valkey.client.hset(account_key(user), f"key:{api_key}", "1")
    return api_key


def test_a_key_that_nobody_knows(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    dead_login(valkey, user)
    again = person.sign_in()
    assert record(valkey, user)["apiKeys"].keys() == {user.api_key, again.api_key}
    assert records_of(valkey, user) == {user.api_key, again.api_key}


def test_a_key_whose_record_would_expire(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    valkey.client.expire(f"apiKey:{user.api_key}", 600)  # its login did not come to that
    again = person.sign_in()
    assert records_of(valkey, user) == {user.api_key, again.api_key}


def test_an_ended_key_whose_record_was_left(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    api_key = dead_login(valkey, user)
    ended = person.sign_in(newKey=True)
    valkey.client.set(f"apiKey:{api_key}", user.user_id)
    valkey.client.hset(account_key(user), f"ended:{api_key}", "1")
    assert not works(SignedIn(app, {"apiKey": api_key, "userId": user.user_id}))
    again = person.sign_in()
    assert records_of(valkey, user) == {ended.api_key, again.api_key}
    assert not [name for name in valkey.client.hkeys(account_key(user)) if "ended" in str(name)]


def test_a_record_that_is_none_is_503_and_changes_nothing(app: App, valkey: Valkey) -> None:
    person = Person(app)
    user = person.sign_in()
    (key,) = index_of(valkey, user)
    for broken in "5", "no JSON", '{"userId": 5}':
        valkey.client.set(key, broken)
        assert person.try_to_sign_in().status_code == 503
        assert valkey.client.get(key) == broken
    valkey.client.delete(account_key(user))
    valkey.client.set(account_key(user), "of another type")
    claim(valkey, person, user.user_id)
    before = record(valkey, user)
    assert person.try_to_sign_in().status_code == 503
    assert record(valkey, user) == before
