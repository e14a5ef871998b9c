"""`python -m server audit` and `purge`, of users who have signed in."""

import json
from pathlib import Path

from tests.api import ADMIN
from tests.identity.interruptions import INTERRUPTED, assert_gone, busy
from tests.identity.people import Person, account_key, index_of, works
from tests.login_providers.signing import App
from tests.processes import Server, Valkey
from tests.stored import ledger_key, left_ms, now_ms, user_key


def run(valkey: Valkey, output: Path, *arguments: str) -> tuple[int, str]:
    with Server(output, *arguments, wait=False, REDIS_URL=valkey.url) as command:
        return command.wait(), command.text()


def test_the_audit_of_accounts(app: App, valkey: Valkey, tmp_path: Path) -> None:
    person, other = Person(app), Person(app)
    good = person.sign_in(app.api.login())
    Person(app, "apple").sign_in(good, link=True)
    good.api.post("/auth/rotate", headers=good.headers)
    Person(app).sign_in().leave()
    audit = "audit", "--tenant", app.api.tenant_id
    assert run(valkey, tmp_path / "good", *audit) == (0, "audit: 1 users checked, 0 broken\n")

    stolen, orphan, temporary, left = (Person(app).sign_in() for _ in range(4))
    # As after a fail-over that has forgotten a claim.
    (index,) = index_of(valkey, stolen)
    valkey.client.set(index, json.dumps({"userId": other.sign_in().user_id, "again": False}))
    valkey.client.delete(*index_of(valkey, orphan))
    for key in user_key(temporary), ledger_key(temporary), account_key(temporary):
        valkey.client.expire(key, 1_000)
    valkey.client.hset(account_key(left), "ended:key_left", str(now_ms(valkey)))
    valkey.client.set("apiKey:key_left", left.user_id)
    status, text = run(valkey, tmp_path / "bad", *audit)
    assert status == 1
    for user, fault in {
        stolen: "identity 1 is not its own",
        orphan: "identity 1 is not its own",
        left: "1 API keys that have ended have records",
    }.items():
        assert f"user:{user.user_id}: {fault}\n" in text
    assert f"user:{temporary.user_id}: of group google_logged_in, and temporary; the acc" in text
    assert text.endswith("audit: 6 users checked, 4 broken\n")


def test_purge_takes_accounts_and_identities(app: App, valkey: Valkey, tmp_path: Path) -> None:
    users = [Person(app).sign_in(), Person(app, "apple").sign_in(app.api.login())]
    assert Person(app).sign_in().leave().status_code == 204
    other = Person(App(app.api.client, app.double)).sign_in()
    tenant_id = app.api.tenant_id
    assert len(set(valkey.client.scan_iter(f"tenant:{tenant_id}:identity:*", count=1000))) == 3
    assert app.api.client.delete(f"/tenants/{tenant_id}", headers=ADMIN).status_code == 204
    status, text = run(valkey, tmp_path / "out", "purge", "--tenant", tenant_id)
    assert (status, text) == (0, f"[INFO] Removed 3 users of tenant {tenant_id}\n")
    assert not set(valkey.client.scan_iter(f"*{tenant_id}:identity:*", count=1000))
    for user in users:
        assert not set(valkey.client.scan_iter(f"*{user.user_id}*", count=1000))
        assert not valkey.client.exists(f"apiKey:{user.api_key}")
    assert left_ms(valkey, account_key(other)) == -1


def test_purge_ends_interrupted_deletions(app: App, valkey: Valkey, tmp_path: Path) -> None:
    users, other = [busy(Person(app)) for _ in range(3)], Person(app).sign_in()
    indexes = [index_of(valkey, user) for user in users]
    for interrupt, user in zip(INTERRUPTED, users, strict=False):
        interrupt(valkey, user)
    arguments = ("purge", "--closing", "--tenant", app.api.tenant_id)
    said = "[INFO] Ended 3 users whose deletion was interrupted\n"
    assert run(valkey, tmp_path / "out", *arguments) == (0, said)
    for user, index in zip(users, indexes, strict=True):
        assert_gone(valkey, user, index)
    assert works(other)
    assert left_ms(valkey, ledger_key(other)) == -1
