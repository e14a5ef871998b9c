"""The routes to sign in: what they take, answer, count and let nobody see."""

import socket
from typing import Any

import httpx
import pytest

from tests.api import Api, config
from tests.hurried import Hurried
from tests.login_providers.signing import GROUP, PER_MINUTE, PROVIDERS, App, users
from tests.metrics.scrape import scrape
from tests.processes import Valkey

ADDRESS = "192.0.2.1"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_sign_in(app: App, provider: str) -> None:
    reply = app.sign_in(provider, app.token(provider, email="ada@example.com", name="Ada"))
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    login = reply.json()
    assert (login["tokensLeft"], login["rateLimit"], login["rateLimitWindow"]) == (1_000, 50, 60)
    assert login["group"] == "google_logged_in"
    # Apple's tokens have no name, so that one in them is none that it vouches for.
    name = "Ada" if provider == "google" else None
    assert login["profile"] == {"email": "ada@example.com", "emailVerified": False, "name": name}
    balance = app.api.get("/balance", {"Authorization": f"Bearer {login['apiKey']}"})
    assert balance.json()["userId"] == login["userId"]


@pytest.mark.parametrize(
    ("said", "is_verified"),
    [
        *((True, True), ("true", True)),
        *((False, False), ("false", False), (None, False), (1, False), ("yes", False)),
    ],
)
def test_an_address_is_verified_if_the_provider_says_so(
    app: App, said: object, is_verified: bool
) -> None:
    claims = {"email": "ada@example.com"} | ({} if said is None else {"email_verified": said})
    for provider in PROVIDERS:
        profile = app.sign_in(provider, app.token(provider, **claims)).json()["profile"]
        assert profile["emailVerified"] is is_verified
    nobodys = app.token("google", email_verified=True)
    assert app.sign_in("google", nobodys).json()["profile"]["emailVerified"] is False


@pytest.mark.parametrize("odd", [5, "", "a" * 321, ["a@example.com"], {"a": 1}, None, True])
def test_odd_profiles(app: App, odd: object) -> None:
    reply = app.sign_in("google", app.token("google", email=odd, email_verified=True, name=odd))
    assert reply.status_code == 200
    name = odd[:200] if isinstance(odd, str) and odd else None
    assert reply.json()["profile"] == {"email": None, "emailVerified": False, "name": name}


def test_apples_name_comes_from_the_app(app: App) -> None:
    reply = app.sign_in("apple", app.token("apple"), name="Ada Lovelace")
    assert reply.json()["profile"]["name"] == "Ada Lovelace"
    assert app.sign_in("apple", app.token("apple"), name="").json()["profile"]["name"] is None


def test_apples_code_is_redeemed_as_the_client_of_the_token(app: App) -> None:
    app.double.apple.client(app.phone, secret=app.secret)
    code = app.double.apple.code(app.phone, sub="001.a")
    before = app.double.apple.asked("token")
    token = app.token("apple", aud=app.phone, sub="001.a")
    for _ in range(2):  # the reply to the first one may have been lost
        assert app.sign_in("apple", token, authorizationCode=code).status_code == 200
    assert app.double.apple.asked("token") == before + 2
    assert app.phone in app.double.apple.do("seen")["refresh_tokens"].values()


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"google_oauth": {"client_secret": "s"}, "apple_oauth": {}},
        {"google_oauth": None, "apple_oauth": None},
        {"google_oauth": {"client_ids": ["WEB"]}, "apple_oauth": {"client_ids": ["WEB"]}},
    ],
)
def test_a_tenant_that_has_not_configured_it(app: App, valkey: Valkey, auth: Any) -> None:
    reply = app.api.put_config(config(**GROUP) | {"auth": auth})
    assert reply.status_code == 200, reply.text
    before = users(valkey)
    for provider in PROVIDERS:
        reply = app.sign_in(provider, app.token(provider))
        assert (reply.status_code, reply.json()) == (404, {"error": "Login method not configured"})
        assert reply.headers["cache-control"] == "no-store"
    assert users(valkey) == before


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"idToken": None}, "idToken"),
    ({"idToken": ""}, "idToken"),
    ({"idToken": ["a.b.c"]}, "idToken"),
    ({"nonce": 5}, "nonce"),
    ({"nonce": ""}, "nonce"),
    ({"nonce": None}, "nonce"),
    ({"nonce": "n" * 501}, "nonce"),
    ({"link": "true"}, "link"),
    ({"link": 1}, "link"),
    ({"newKey": None}, "newKey"),
    ({"newkey": True}, "newkey"),
    ({"tokens": 1_000_000}, "tokens"),
    ({"group": "paid"}, "group"),
    ({"userId": "0"}, "userId"),
]
OF_APPLE: list[tuple[dict[str, Any], str]] = [
    ({"authorizationCode": ""}, "authorizationCode"),
    ({"authorizationCode": "c" * 2_001}, "authorizationCode"),
    ({"name": {"firstName": "Ada"}}, "name"),
    ({"name": "a" * 201}, "name"),
]


@pytest.mark.parametrize(("body", "path"), FAULTY + OF_APPLE)
def test_bodies_that_are_wrong(app: App, body: dict[str, Any], path: str) -> None:
    providers = PROVIDERS if (body, path) in FAULTY else ("apple",)
    for provider in providers:
        given = {"idToken": app.token(provider), **body}
        reply = app.sign_in(provider, given.pop("idToken"), **given)
        assert reply.status_code == 422, reply.text
        assert [detail["path"] for detail in reply.json()["details"]] == [path]


def test_what_is_apples_alone(app: App) -> None:
    reply = app.sign_in("google", app.token("google"), name="Ada", authorizationCode="c")
    assert reply.status_code == 422
    assert {detail["path"] for detail in reply.json()["details"]} == {"name", "authorizationCode"}


def test_a_body_that_is_too_large(app: App) -> None:
    assert app.refusal("google", "x" * 30_000) == "malformed"
    reply = app.sign_in("google", "x" * 33_000)
    assert (reply.status_code, reply.json()) == (413, {"error": "Payload Too Large"})


def test_no_body(app: App) -> None:
    reply = app.api.post("/auth/google", None, {"x-forwarded-for": "192.0.2.200"})
    assert reply.status_code == 422


def test_logins_are_limited_by_address_and_apart_from_anonymous_ones(app: App) -> None:
    statuses = [
        app.sign_in(provider, token, address=ADDRESS).status_code
        for provider, token in [("google", app.token("google")), ("apple", "a.b.c")] * 3
    ]
    assert statuses == [200, 401, 200] + [429] * 3, f"{PER_MINUTE} a minute"
    refused = app.sign_in("google", app.token("google"), address=ADDRESS)
    assert refused.json() == {"error": "Too Many Requests"}
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["cache-control"] == "no-store"
    anonymous = app.api.post("/auth/anonymous", None, {"x-forwarded-for": ADDRESS})
    assert anonymous.status_code == 200
    other = App(app.api.client, app.double)
    assert other.sign_in("google", other.token("google"), address=ADDRESS).status_code == 200


def test_rotations_count_as_logins(app: App) -> None:
    user = app.api.login()
    headers = {**user.headers, "x-forwarded-for": "192.0.2.201"}
    replies = [app.api.post("/auth/rotate", None, headers) for _ in range(PER_MINUTE + 1)]
    assert [reply.status_code for reply in replies] == [200] * PER_MINUTE + [429]
    assert user.charge().status_code == 200


def test_a_page_of_another_origin_neither_signs_in_nor_uses_up_a_limit(app: App) -> None:
    own = {"Origin": "https://app.example"}
    origins = {"allowed_origins": ["https://app.example"]}
    assert app.api.put_config(config(**GROUP) | {"auth": app.auth} | origins).status_code == 200
    token = app.token("google")
    for _ in range(PER_MINUTE + 1):
        reply = app.sign_in("google", token, address=ADDRESS, headers={"Origin": "https://evil"})
        assert (reply.status_code, reply.json()) == (403, {"error": "Origin not allowed"})
    assert app.sign_in("google", token, address=ADDRESS, headers=own).status_code == 200


def test_a_tenants_config_cannot_say_who_is_asked(app: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        names = ("issuer", "jwks_uri", "url", "token_url", "keys", "token_endpoint", "google_url")
        elsewhere = dict.fromkeys(names, url)
        other = App(app.api.client, app.double, google=elsewhere, apple=elsewhere, **elsewhere)
        for provider in PROVIDERS:
            for header in ({"jku": url}, {"x5u": url}, {"kid": url}):
                forged = other.at(provider).forged("stranger", header, aud=other.web, iss=url)
                assert other.refusal(provider, forged) == "signature"
            assert other.sign_in(provider, other.token(provider)).status_code == 200
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_how_sign_ins_end_is_counted(app: App, caller: httpx.Client) -> None:
    outcomes = ["signed_in", "invalid_id_token", "login_not_configured", "invalid"]
    before = scrape(caller)
    assert app.sign_in("google", app.token("google")).status_code == 200
    assert app.refusal("google", "a.b.c") == "malformed"
    assert app.sign_in("google", 5).status_code == 422
    assert Api.new_tenant(caller).post("/auth/google", {"idToken": "a"}).status_code == 404
    after = scrape(caller)
    for outcome in outcomes:
        labels = {"provider": "google", "outcome": outcome}
        found = (each.value("vibe_sign_ins_total", **labels) for each in (after, before))
        assert next(found) - next(found) == 1, outcome
    asked = {"provider": "google", "what": "keys", "outcome": "ok"}
    assert after.value("vibe_login_provider_requests_total", **asked) >= 1


def test_the_log_keeps_nothing_of_whom_it_saw(app: App, signing: Hurried) -> None:
    app.double.apple.client(app.web, secret="another-one")
    claims = {"sub": "subject-in-no-log", "email": "in-no-log@example.com"}
    token = app.token("apple", **claims)
    code = app.double.apple.code(app.web, **claims)
    reply = app.sign_in("apple", token, authorizationCode=code, nonce="nonce-in-no-log")
    assert reply.status_code == 401
    reply = app.sign_in("apple", token, authorizationCode=code)
    assert reply.status_code == 200
    text = signing.text()
    assert f"Tenant {app.api.tenant_id}: Apple gives no refresh token: invalid_client" in text
    shown = [token, token.split(".")[1], code, app.secret, reply.json()["apiKey"]]
    for secret in (*shown, *claims.values(), "nonce-in-no-log"):
        assert secret not in text
