"""Logins of one identity at the same time; `tests/sign_in_races` has more of them, and kills."""

from concurrent.futures import ThreadPoolExecutor

from tests.api import User
from tests.identity.people import Person, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import record


def test_first_logins_at_once(app: App, valkey: Valkey) -> None:
    person = Person(app)
    anonymous: list[User | None] = [app.api.login() for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        users = list(pool.map(person.sign_in, anonymous + [None] * 20))
    assert len({user.user_id for user in users}) == 1
    user = next(one for one in users if works(one))
    promoted = [one for one in users if one.reply["linked"]]
    assert len(promoted) + sum(one.reply["created"] for one in users) == 1
    assert user.changes() in (
        [("grant", 1_000, 1_000)],
        [("grant", 100, 100), ("group", 900, 1_000)],
    )
    listed = set(record(valkey, user)["apiKeys"])
    assert records_of(valkey, user) == listed
    assert {one.api_key for one in users if works(one)} == listed
    assert len([key for key in listed if key.startswith("key_")]) == 20
    assert all(works(one) for one in promoted)
    others = [one for one in anonymous if one and one.user_id != user.user_id]
    assert all(one.balance()["tokensLeft"] == 100 for one in others)


def test_logins_while_the_user_spends(app: App) -> None:
    person, user = Person(app), app.api.login()
    with ThreadPoolExecutor(4) as pool:
        charges = [pool.submit(user.charge, 1) for _ in range(60)]
        logins = [pool.submit(person.sign_in, user) for _ in range(10)]
        statuses = {charge.result().status_code for charge in charges}
        assert {login.result().user_id for login in logins} == {user.user_id}
    assert statuses == {200}
    balance = user.balance()
    assert balance["tokensUsed"] == 60
    entries = user.ledger("?limit=200")
    assert [entry["number"] for entry in entries] == list(range(62, 62 - len(entries), -1))
    assert entries[0]["tokensLeft"] == balance["tokensLeft"]
