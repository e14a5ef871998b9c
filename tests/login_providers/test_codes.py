"""Codes of login providers, redeemed for who somebody is."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from time import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from server.login_providers.errors import (
    InvalidIdToken,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.login_providers.identity import VerifiedIdentity
from server.login_providers.login_providers import LoginProviders
from tests.doubles.sign_in import SignInDouble
from tests.doubles.sign_in.tokens import encode
from tests.login_providers.asking import Client, login_providers
from tests.login_providers.pages import REDIRECT_URI, VERIFIER, apple_form, google_code

CLIENT = Client()
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
WITH_KEY = Client(client_secret=None, team_id="TEAM", key_id="KEY", private_key=PEM)
DAY = 86_400


@pytest.fixture
async def providers(own: SignInDouble) -> AsyncIterator[LoginProviders]:
    own.google.client("web", secret="secret")
    own.apple.client("web", secret="secret")
    async with login_providers(own) as providers:
        yield providers


async def reason_of(asked: Awaitable[Any]) -> str:
    """Why a provider is said to have failed."""
    with pytest.raises(LoginProviderFailed) as caught:
        await asked
    assert caught.value.status == 502
    return caught.value.reason


def at_google(
    providers: LoginProviders, code: str, client: Client = CLIENT, **other: Any
) -> Awaitable[VerifiedIdentity]:
    given = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, "nonce": "n", **other}
    return providers.google.redeem(client, "abc", code, **given)


async def test_google_says_who_it_is(providers: LoginProviders, own: SignInDouble) -> None:
    person = {"sub": "117", "email": "ada@example.com", "email_verified": True, "name": "Ada"}
    own.google.do("person", **person)
    code = google_code(own.google.url)["code"]
    identity = await at_google(providers, code)
    assert identity == VerifiedIdentity("google", "117", "ada@example.com", True, "Ada", "web")
    assert await reason_of(at_google(providers, code)) == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": f"{REDIRECT_URI}/"},
        {"code": "c.other"},
    ],
)
async def test_a_code_is_for_who_has_asked_for_it(
    providers: LoginProviders, own: SignInDouble, wrong: dict[str, Any]
) -> None:
    code = google_code(own.google.url)["code"]
    code = wrong.pop("code", code)
    found = await reason_of(at_google(providers, code, **wrong))
    assert found == "invalid_grant"


async def test_a_code_for_another_client_or_too_old(
    providers: LoginProviders, own: SignInDouble
) -> None:
    own.google.client("other", secret="secret")
    code = google_code(own.google.url, client_id="other")["code"]
    assert await reason_of(at_google(providers, code)) == "invalid_grant"
    code = google_code(own.google.url)["code"]
    own.google.do("age", seconds=301)
    assert await reason_of(at_google(providers, code)) == "invalid_grant"


async def test_the_nonce_of_a_redirect_is_exact(
    providers: LoginProviders, own: SignInDouble
) -> None:
    hashed = sha256(b"n").hexdigest()
    for nonce, other in (("n", "m"), ("n", "N"), ("", "n"), ("n", hashed)):
        of_google = google_code(own.google.url, nonce=other)["code"]
        of_apple = apple_form(own.apple.url, nonce=other)[1]["code"]
        for asked in (
            at_google(providers, of_google, nonce=nonce),
            providers.apple.redeem(CLIENT, "abc", of_apple, REDIRECT_URI, nonce),
        ):
            with pytest.raises(InvalidIdToken) as caught:
                await asked
            assert caught.value.reason == "nonce"


async def test_a_code_of_the_other_provider(providers: LoginProviders, own: SignInDouble) -> None:
    of_google = google_code(own.google.url)["code"]
    asked = providers.apple.redeem(CLIENT, "abc", of_google, REDIRECT_URI, "n")
    assert await reason_of(asked) == "invalid_grant"
    of_apple = apple_form(own.apple.url)[1]["code"]
    assert await reason_of(at_google(providers, of_apple)) == "invalid_grant"


async def test_a_wrong_secret_is_told_to_the_log_without_it(
    providers: LoginProviders, own: SignInDouble, caplog: pytest.LogCaptureFixture
) -> None:
    code = google_code(own.google.url)["code"]
    wrong = Client(client_secret="wrong-secret")
    assert await reason_of(at_google(providers, code, wrong)) == "invalid_client"
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.levelno == logging.ERROR
    said = line.getMessage()
    assert said == "Tenant abc: google refuses its client ID and secret: invalid_client"


ODD_ANSWERS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "HTML": {"status": 200, "body": "<html>"},
    "no ID token": {"status": 200, "body": '{"access_token": "a"}'},
    "a number as ID token": {"status": 200, "body": '{"id_token": 5}'},
    "an error that forges a line": {"status": 400, "body": '{"error": "a\\n[ERROR] b"}'},
    "an error that is no text": {"status": 400, "body": '{"error": ["invalid_client"]}'},
    "a redirect": {"status": 302},
    "too much": {"status": 200, "body": json.dumps({"id_token": "x" * 70_000})},
}


@pytest.mark.parametrize("answer", ODD_ANSWERS)
async def test_odd_answers(
    providers: LoginProviders,
    own: SignInDouble,
    caplog: pytest.LogCaptureFixture,
    answer: str,
) -> None:
    code = google_code(own.google.url)["code"]
    own.google.fault("token", **ODD_ANSWERS[answer])
    found = await reason_of(at_google(providers, code))
    assert len(found) < 40
    assert "\n" not in found
    assert not caplog.records


async def test_an_id_token_in_an_answer_is_verified(
    providers: LoginProviders, own: SignInDouble
) -> None:
    code = google_code(own.google.url)["code"]
    forged = own.google.forged("stranger", {}, aud="web", nonce="n")
    own.google.fault("token", status=200, body=json.dumps({"id_token": forged}))
    with pytest.raises(InvalidIdToken) as caught:
        await at_google(providers, code)
    assert caught.value.reason == "signature"


async def test_a_provider_that_is_too_slow(own: SignInDouble) -> None:
    own.google.client("web", secret="secret")
    code = google_code(own.google.url)["code"]
    own.google.fault("token", delay=30)
    async with login_providers(own, 0.6) as providers:
        with pytest.raises(LoginProviderTimeout) as caught:
            await at_google(providers, code)
        assert caught.value.status == 504


async def test_apple_says_who_it_is_and_gives_a_refresh_token(
    providers: LoginProviders, own: SignInDouble
) -> None:
    person = {"sub": "001.a", "email": "x@privaterelay.appleid.com", "email_verified": "true"}
    own.apple.do("person", name="Ada Lovelace", **person)
    action, form = apple_form(own.apple.url)
    assert action == REDIRECT_URI
    assert json.loads(form["user"])["name"] == {"firstName": "Ada", "lastName": "Lovelace"}
    assert "user" not in apple_form(own.apple.url)[1], "it is told once"
    identity = await providers.apple.redeem(CLIENT, "abc", form["code"], REDIRECT_URI, "n")
    refresh_token = identity.refresh_token
    assert refresh_token is not None
    assert identity == VerifiedIdentity(
        "apple", "001.a", person["email"], True, None, "web", refresh_token
    )
    assert refresh_token not in repr(identity)
    await providers.apple.revoke(CLIENT, "abc", identity.client_id, refresh_token)
    seen = own.apple.do("seen")
    assert seen["revoked"] == [{"client_id": "web", "token": refresh_token}]
    assert seen["refresh_tokens"] == {}


@pytest.mark.parametrize("client_id", ["web", "phone"])
async def test_a_secret_made_from_the_tenants_key_is_taken(
    providers: LoginProviders, own: SignInDouble, client_id: str
) -> None:
    own.apple.client(client_id, team_id="TEAM", key_id="KEY", public_key=PUBLIC)
    token = own.apple.token(aud=client_id, sub="001.a")
    identity = await providers.apple.verify(WITH_KEY, token, None)
    code = own.apple.code(client_id, sub="001.a")
    found = await providers.apple.with_refresh_token(WITH_KEY, "abc", identity, code)
    assert found.refresh_token is not None
    await providers.apple.revoke(WITH_KEY, "abc", found.client_id, found.refresh_token)
    assert own.apple.do("seen")["refresh_tokens"] == {}


async def test_a_secret_by_another_key_is_not(providers: LoginProviders, own: SignInDouble) -> None:
    own.apple.client("web", team_id="TEAM", key_id="OTHER", public_key=PUBLIC)
    asked = providers.apple.redeem(WITH_KEY, "abc", own.apple.code("web"), REDIRECT_URI, "n")
    assert await reason_of(asked) == "invalid_client"


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("somebody-else", {}),
        ("ada", {"status": 400, "body": '{"error": "invalid_grant"}'}),
        ("ada", {"status": 500}),
        ("ada", {"delay": 30}),
        ("ada", {"status": 200, "body": '{"id_token": "a.b.c", "refresh_token": "r"}'}),
    ],
)
async def test_a_native_sign_in_is_as_good_without_a_refresh_token(
    own: SignInDouble, subject: str, answer: dict[str, Any]
) -> None:
    own.apple.client("phone", secret="secret")
    code = own.apple.code("phone", sub=subject)
    own.apple.fault("token", **answer)
    async with login_providers(own, 1.2) as providers:
        token = own.apple.token(aud="phone", sub="ada")
        identity = await providers.apple.verify(CLIENT, token, None)
        found = await providers.apple.with_refresh_token(CLIENT, "abc", identity, code)
    assert found == identity
    assert found.refresh_token is None
    assert own.apple.asked("token") == 1


def given_secret(seconds: float) -> str:
    """As a tenant has made it, to end in so many seconds."""
    header, claims = {"alg": "ES256"}, {"exp": int(time() + seconds), "sub": "web"}
    return ".".join(encode(json.dumps(part).encode()) for part in (header, claims)) + ".c2ln"


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [
        (20 * DAY, None, ""),
        (13.5 * DAY, logging.WARNING, "its client secret for Apple ends in 13 days"),
        (-60, logging.ERROR, "its client secret for Apple has expired"),
    ],
)
async def test_the_end_of_a_secret_is_told_in_time(
    providers: LoginProviders,
    own: SignInDouble,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    level: int | None,
    said: str,
) -> None:
    secret = given_secret(seconds)
    own.apple.client("web", secret=secret)
    client = Client(client_secret=secret)
    for _ in range(3):
        code = own.apple.code("web", nonce="n")
        asked = providers.apple.redeem(client, "abc", code, REDIRECT_URI, "n")
        found = await reason_of(asked)
        # The double's code was made for no redirect, and is not taken.
        assert found == ("client secret expired" if seconds < 0 else "invalid_grant")
    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert lines == ([(level, f"Tenant abc: {said}")] if level else [])
    assert own.apple.asked("token") == (0 if seconds < 0 else 3)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (Client(client_secret=None), "no client secret"),
        (Client(team_id="T", key_id="K", private_key="no PEM"), "no private key"),
    ],
)
async def test_a_client_that_has_no_secret(
    providers: LoginProviders, own: SignInDouble, client: Client, reason: str
) -> None:
    asked = providers.apple.redeem(client, "abc", own.apple.code("web"), REDIRECT_URI, "n")
    assert await reason_of(asked) == reason
    assert own.apple.asked("token") == 0


@pytest.mark.parametrize("secret", ["a.b.c", "..", "a.e30.c", "a.WzFd.c", "a.eyJleHAiOiJ4In0.c"])
async def test_a_secret_that_is_no_token_is_sent_as_it_is(
    providers: LoginProviders, own: SignInDouble, secret: str
) -> None:
    own.apple.client("web", secret=secret)
    own.apple.do("person")
    code = apple_form(own.apple.url)[1]["code"]
    client = Client(client_secret=secret)
    assert await providers.apple.redeem(client, "abc", code, REDIRECT_URI, "n")


async def test_a_revoke_that_fails(providers: LoginProviders, own: SignInDouble) -> None:
    wrong = Client(client_secret="wrong")
    assert await reason_of(providers.apple.revoke(wrong, "abc", "web", "r")) == "invalid_client"
    own.apple.fault("revoke", status=500)
    assert await reason_of(providers.apple.revoke(CLIENT, "abc", "web", "r")) == "status 500"
