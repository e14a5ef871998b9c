"""What becomes of users when Apple tells of their accounts there."""

import json
import time

import httpx
import pytest

from tests.identity.people import Person, SignedIn, account_key, index_of, records_of, works
from tests.login_providers.signing import App
from tests.processes import Valkey
from tests.stored import record

HOUR_MS = 3_600_000


def now_ms() -> int:
    return int(time.time() * 1000)


def tell(app: App, payload: object) -> httpx.Response:
    return app.api.post("/auth/apple/notifications", {"payload": payload})


def notice(app: App, person: Person, kind: str, at_ms: int = 0, client_id: str = "") -> str:
    at = at_ms or now_ms() + 1
    subject = person.claims["sub"]
    return app.at("apple").notification(client_id or app.web, kind, subject, event_time=at)


def deliver(app: App, person: Person, kind: str) -> None:
    reply = tell(app, notice(app, person, kind))
    assert (reply.status_code, reply.json()) == (200, {"received": True})


def test_a_consent_that_is_revoked_ends_all_keys(app: App, valkey: Valkey) -> None:
    person = Person(app, "apple")
    users = [person.sign_in(app.api.login()), person.sign_in()]
    users[0].charge(400)
    deliver(app, person, "consent-revoked")
    assert not any(works(user) for user in users)
    assert records_of(valkey, users[0]) == set()
    again = person.sign_in()
    assert (again.user_id, again.reply["tokensLeft"]) == (users[0].user_id, 600)


@pytest.mark.parametrize("kind", ["account-delete", "account-deleted"])
def test_an_account_that_is_deleted_ends_its_user(app: App, valkey: Valkey, kind: str) -> None:
    person = Person(app, "apple")
    user = person.sign_in()
    deliver(app, person, kind)
    deliver(app, person, kind)
    assert not works(user)
    assert record(valkey, user)["closed"]
    assert person.sign_in().reply["tokensLeft"] == 0


def test_who_pays_for_a_plan_stays_without_the_identity(app: App, valkey: Valkey) -> None:
    person = Person(app, "apple")
    user = person.sign_in()
    (index,) = index_of(valkey, user)
    told = json.dumps(["stripe_basic", "active", 1, False])
    valkey.client.hset(account_key(user), mapping={"subscription": told, "trialed": "1"})
    deliver(app, person, "account-deleted")
    assert works(user)
    assert user.me()["identities"] == []
    assert json.loads(str(valkey.client.get(index)))["userId"] == ""
    new = person.sign_in()
    assert (new.user_id != user.user_id, new.reply["tokensLeft"]) == (True, 0)
    assert valkey.client.hexists(account_key(new), "trialed")
    told = json.dumps(["stripe_basic", "canceled", 1, False])
    valkey.client.hset(account_key(new), "subscription", told)
    deliver(app, person, "account-deleted")
    assert not works(new)


def test_a_user_with_another_identity_stays(app: App) -> None:
    person, other = Person(app, "apple"), Person(app)
    user = other.sign_in()
    person.sign_in(user, link=True)
    deliver(app, person, "account-deleted")
    assert works(user)
    assert [one["provider"] for one in user.me()["identities"]] == ["google"]
    new = person.sign_in()
    assert (new.user_id != user.user_id, new.reply["tokensLeft"]) == (True, 0)


def test_what_changes_nothing(app: App, valkey: Valkey) -> None:
    person, stranger = Person(app, "apple"), Person(app, "apple")
    user = person.sign_in()
    kinds = "consent-revoked", "account-deleted"
    old = [notice(app, person, kind, now_ms() - HOUR_MS) for kind in kinds]
    new = [notice(app, person, kind) for kind in kinds]
    time.sleep(0.005)  # the next login is later than both
    person.sign_in(user)
    of_others = [notice(app, stranger, kind) for kind in kinds]
    for payload in old + new + of_others + [notice(app, person, "email-disabled")]:
        assert tell(app, payload).json() == {"received": True}
    for payload in notice(app, person, kinds[0], client_id="another"), "junk", "a.b.c":
        reply = tell(app, payload)
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid payload"})
    forged = app.at("apple").forged(
        "stranger", {"alg": "RS256"}, aud=app.web, events={"type": kinds[0], **person.claims}
    )
    assert tell(app, forged).status_code == 400
    assert works(user)
    assert user.me()["identities"]
    assert tell(app, 5).status_code == 422


def test_a_tenant_without_apple_hears_nothing(app: App, valkey: Valkey) -> None:
    other = App(app.api.client, app.double, apple={"client_id": None})
    assert tell(other, "a.b.c").json() == {"error": "Login method not configured"}
    assert isinstance(Person(other).sign_in(), SignedIn)
