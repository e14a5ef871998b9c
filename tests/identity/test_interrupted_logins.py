"""Logins whose worker stops between two steps: what is there then is right, and stays so."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles.sign_in import SignInDouble
from tests.identity.people import Person, SignedIn
from tests.identity.test_apple_notices import notice
from tests.login_providers.signing import App
from tests.metering.test_audit import audit
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink

KEEP = b"XX"
"""In the command that makes a key's record permanent, and in that which gives it an end."""


@pytest.fixture
def held_up_app(
    link: RedisLink, double: SignInDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    output = tmp_path_factory.mktemp("held-up-app") / "out"
    env = {"REDIS_URL": link.redis_url, "REDIS_TIMEOUT": "20", **double.settings}
    with (
        Server(output, wait=True, **env) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield App(client, double)


def stop(link: RedisLink, pool: ThreadPoolExecutor, step: bytes, *what: Any) -> Any:
    """What is done stops before that step."""
    link.hold(step)
    done = pool.submit(*what)
    eventually(link.has_stopped)
    return done


def assert_sound(valkey: Valkey, app: App) -> None:
    done = audit(valkey, app.api)
    assert done.returncode == 0, done.stdout


def test_a_key_that_nobody_was_told_yet(held_up_app: App, valkey: Valkey, link: RedisLink) -> None:
    person, user = Person(held_up_app), held_up_app.api.login()
    user.grant({"tokens": 1})
    with ThreadPoolExecutor() as pool:
        signing_in = stop(link, pool, KEEP, person.sign_in)
        assert_sound(valkey, held_up_app)
        link.release()
        rotating = stop(link, pool, KEEP, user.api.post, "/auth/rotate", None, user.headers)
        assert_sound(valkey, held_up_app)
        link.release()
    again = person.sign_in()
    assert again.user_id == signing_in.result().user_id
    assert again.me()["keys"] == 2
    reply = {"apiKey": rotating.result().json()["apiKey"], "userId": user.user_id}
    assert User(user.api, reply).balance()["tokensLeft"] == 101
    assert_sound(valkey, held_up_app)


def test_an_identity_that_is_taken_away_meanwhile(
    held_up_app: App, app: App, valkey: Valkey, link: RedisLink
) -> None:
    """By a notice of Apple's, heeded by another worker, between a login's claim and the rest."""
    elsewhere = Api(app.api.client, held_up_app.api.tenant_id)
    apple, google = Person(held_up_app, "apple"), Person(held_up_app)
    user = google.sign_in()
    apple.sign_in(user, link=True)
    with ThreadPoolExecutor() as pool:
        signing_in = stop(link, pool, b"identity:", apple.sign_in)
        link.let_one_through()
        eventually(link.is_waiting)
        payload = {"payload": notice(held_up_app, apple, "account-deleted")}
        assert elsewhere.post("/auth/apple/notifications", payload).status_code == 200
        link.release()
    new = signing_in.result()
    assert new.user_id != user.user_id
    assert apple.sign_in().user_id == new.user_id
    signed_in = SignedIn(held_up_app, user.reply)
    assert [one["provider"] for one in signed_in.me()["identities"]] == ["google"]
    assert_sound(valkey, held_up_app)
    back = google.sign_in()
    assert back.user_id == user.user_id
