"""Attacks with ID tokens: each is refused, with its reason, and leaves nothing behind."""

import time
from typing import Any

import httpx
import pytest

from tests.doubles.sign_in import SignInDouble
from tests.doubles.sign_in.tokens import STRANGER, encode, jwk
from tests.login_providers.signing import PROVIDERS, App, users
from tests.processes import Valkey

DAY = 86_400
UNKNOWN = encode(b'{"alg":"RS256","kid":"unknown"}')


@pytest.fixture(scope="module")
def app(caller: httpx.Client, double: SignInDouble) -> App:
    """One for all, which none of them changes."""
    return App(caller, double)


def now() -> int:
    return int(time.time())


class Ago:
    """So many seconds before now, when the test runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def _at(value: Any) -> Any:
    return now() - value.seconds if isinstance(value, Ago) else value


FORGERIES: dict[str, tuple[str, dict[str, Any], str]] = {
    # name: signed by, header, reason
    "none": ("nothing", {}, "signature"),
    "None": ("nothing", {"alg": "None"}, "signature"),
    "no algorithm": ("newest", {"alg": None}, "signature"),
    "an algorithm that is no text": ("newest", {"alg": ["RS256"]}, "signature"),
    "lower case": ("newest", {"alg": "rs256"}, "signature"),
    "another of RSA": ("newest", {"alg": "RS512"}, "signature"),
    "none, with a right signature": ("newest", {"alg": "none"}, "signature"),
    "HMAC with the client secret": ("secret", {}, "signature"),
    "HMAC with the client secret, as RS256": ("secret", {"alg": "RS256"}, "signature"),
    "HMAC with the public key": ("public key", {}, "signature"),
    "HMAC with the public key, as RS256": ("public key", {"alg": "RS256"}, "signature"),
    "a key of the attacker's": ("stranger", {}, "signature"),
    "a key of the attacker's, without kid": ("stranger", {"kid": None}, "signature"),
    "a key that there is not": ("stranger", {"kid": "mine"}, "signature"),
    "an empty kid": ("stranger", {"kid": ""}, "signature"),
    "a kid that is a path": ("stranger", {"kid": "../../dev/null"}, "signature"),
    "a kid that is no text": ("newest", {"kid": 1}, "malformed"),
    "a kid that is a list": ("newest", {"kid": ["key-1"]}, "malformed"),
    "jku": ("stranger", {"jku": "http://169.254.169.254/keys"}, "signature"),
    "x5u": ("stranger", {"x5u": "http://169.254.169.254/keys"}, "signature"),
    "jku, with a right signature": ("newest", {"jku": "http://127.0.0.1:1/keys"}, "signature"),
    "jwk": ("stranger", {"jwk": jwk(STRANGER, "key-1")}, "signature"),
    "x5c": ("stranger", {"x5c": ["MIIB"]}, "signature"),
    "crit": ("newest", {"crit": ["exp"], "exp": 1}, "signature"),
    "crit of what we know": ("newest", {"crit": ["kid"]}, "signature"),
    "unencoded payload": ("newest", {"b64": False, "crit": ["b64"]}, "signature"),
    "a header too large": ("newest", {"x": "x" * 600}, "malformed"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", FORGERIES)
def test_a_token_that_the_provider_has_not_signed_so(
    app: App, valkey: Valkey, provider: str, name: str
) -> None:
    by, header, reason = FORGERIES[name]
    before = users(valkey)
    token = app.at(provider).forged(by, header, app.secret, aud=app.web)
    assert app.refusal(provider, token) == reason
    assert users(valkey) == before


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://accounts.google.com"}, "issuer"),
    "the issuer with a slash": ({"iss": "SLASH"}, "issuer"),
    "an issuer that is a list": ({"iss": ["LIST"]}, "issuer"),
    "no issuer": ({"iss": None}, "issuer"),
    "a client of another project": ({"aud": "123.apps.googleusercontent.com"}, "audience"),
    "the audience in capitals": ({"aud": "CAPITALS"}, "audience"),
    "no audience": ({"aud": None}, "audience"),
    "an empty list": ({"aud": []}, "audience"),
    "an audience that is an object": ({"aud": {"a": "OWN"}}, "audience"),
    "a number": ({"aud": 5}, "audience"),
    "two of strangers": ({"aud": ["stranger", "other"], "azp": "OWN"}, "audience"),
    "a stranger beside, and no azp": ({"aud": ["OWN", "stranger"]}, "audience"),
    "a stranger beside, who asked": ({"aud": ["OWN", "stranger"], "azp": "stranger"}, "audience"),
    "numbers beside": ({"aud": ["OWN", 5], "azp": 5}, "audience"),
    "expired": ({"exp": Ago(61)}, "expired"),
    "issued in the future": ({"iat": Ago(-120), "exp": Ago(-3600)}, "expired"),
    "not valid yet": ({"nbf": Ago(-120)}, "expired"),
    "valid for too long": ({"iat": Ago(0), "exp": Ago(-DAY - 61)}, "expired"),
    "issued long ago, and valid yet": ({"iat": Ago(2 * DAY)}, "expired"),
    "an end without end": ({"exp": 1e300}, "expired"),
    "no end": ({"exp": None}, "malformed"),
    "no beginning": ({"iat": None}, "malformed"),
    "an end that is a text": ({"exp": "4000000000"}, "malformed"),
    "an end that is true": ({"exp": True}, "malformed"),
    "a beginning that is a text": ({"iat": "0"}, "malformed"),
    "a list as nbf": ({"nbf": [0]}, "malformed"),
    "no subject": ({"sub": None}, "malformed"),
    "an empty subject": ({"sub": ""}, "malformed"),
    "a number as subject": ({"sub": 5}, "malformed"),
    "a list as subject": ({"sub": ["ada"]}, "malformed"),
    "a long subject": ({"sub": "a" * 256}, "malformed"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", CLAIMS)
def test_a_token_that_does_not_say_what_it_must(
    app: App, valkey: Valkey, provider: str, name: str
) -> None:
    claims, reason = CLAIMS[name]
    issuer = app.at(provider).url
    own = {"OWN": app.web, "CAPITALS": app.web.upper(), "SLASH": f"{issuer}/", "LIST": issuer}

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(each) for each in value]
        if isinstance(value, dict):
            return {key: fill(each) for key, each in value.items()}
        return own.get(value, value) if isinstance(value, str) else _at(value)

    given = fill(claims)
    without = [key for key, value in given.items() if value is None]
    before = users(valkey)
    token = app.token(provider, *without, **given)
    assert app.refusal(provider, token) == reason
    assert users(valkey) == before


def test_a_token_of_another_tenants_client(app: App) -> None:
    other = App(app.api.client, app.double)
    for provider in PROVIDERS:
        assert app.refusal(provider, other.token(provider)) == "audience"
        assert other.sign_in(provider, other.token(provider)).status_code == 200


def test_a_token_of_the_other_provider(app: App) -> None:
    """Their keys have the same names here, so that it is not by these."""
    assert app.refusal("google", app.token("apple")) == "issuer"
    assert app.refusal("apple", app.token("google")) == "issuer"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "text",
    [
        *("a", "a.b.c", "..", "a.b.c.d", "é.b.c", "x" * 20_000, "😀.😀.😀", "a\u0000.b.c"),
        f"{UNKNOWN}.é.AA",
        *(f"{encode(header)}.e30.AA" for header in (b"[]", b"null", b"{", b"[" * 300, b"\xff")),
    ],
    ids=range(14),
)
def test_what_is_no_token(app: App, provider: str, text: str) -> None:
    assert app.refusal(provider, text) == "malformed"


@pytest.mark.parametrize("claims", ["[]", '"a"', "null", "{", "", "NaN", "[" * 10_000])
def test_claims_that_are_no_object(app: App, claims: str) -> None:
    assert app.refusal("google", app.at("google").raw_token(claims)) == "malformed"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_token_that_was_changed(app: App, provider: str) -> None:
    header, body, signature = app.token(provider).split(".")
    other = app.token(provider, sub="eve").split(".")
    changed = signature[:-5] + ("A" if signature[-5] != "A" else "B") + signature[-4:]
    for token, reason in (
        (f"{header}.{other[1]}.{signature}", "signature"),
        (f"{header}.{body}.{changed}", "signature"),
        (f"{header}.{body}.", "signature"),
        (f"{header}.{body}.{signature}A", "signature"),
        (f"{header}.{body}.{signature}.{signature}", "malformed"),
        (f"{header}.{body}", "malformed"),
        (f"{header}=.{body}.{signature}", "malformed"),
        (f" {header}.{body}.{signature}", "malformed"),
    ):
        assert app.refusal(provider, token) == reason, token


def test_a_token_is_measured_before_it_is_read(app: App) -> None:
    # A signed one, whatever it is.
    token = app.token("google", filler="x" * 11_000)
    assert len(token) < 16 * 1024
    assert app.sign_in("google", token).status_code == 200
    token = app.token("google", filler="x" * 12_500)
    assert len(token) > 16 * 1024
    assert app.refusal("google", token) == "malformed"


TAKEN: dict[str, dict[str, Any]] = {
    "the app's ID on the web": {"aud": "WEB"},
    "the app's ID on phones": {"aud": "PHONE"},
    "a list of one": {"aud": ["PHONE"]},
    "asked for by an Android app": {"aud": "WEB", "azp": "an-android-apps-own"},
    "of several, by one of the app's": {"aud": ["stranger", "WEB"], "azp": "PHONE"},
    "expired within the leeway": {"iat": Ago(600), "exp": Ago(30)},
    "issued by a clock that is ahead": {"iat": Ago(-30)},
    "valid for a day": {"iat": Ago(100), "exp": Ago(100 - DAY)},
    "valid since a while": {"nbf": Ago(100)},
    "times with a fraction": {"iat": Ago(0.5), "exp": Ago(-99.5)},
    "a long subject": {"sub": "a" * 255},
    "an odd subject": {"sub": "\u0000 :{}*😀"},
    "a nonce that nobody asked for": {"nonce": "of-the-sdk"},
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", TAKEN)
def test_tokens_that_are_taken(app: App, provider: str, name: str) -> None:
    own = {"WEB": app.web, "PHONE": app.phone}
    claims = {
        key: [own.get(one, one) for one in value]
        if isinstance(value, list)
        else own.get(value, value)
        if isinstance(value, str)
        else _at(value)
        for key, value in TAKEN[name].items()
    }
    reply = app.sign_in(provider, app.token(provider, **claims))
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_header_says_beside_is_ignored(app: App, provider: str) -> None:
    header = {"typ": None, "x5t": "AA", "new": {"a": 1}}
    token = app.at(provider).forged("newest", header, aud=app.web)
    assert app.sign_in(provider, token).status_code == 200


def test_a_google_workspace_alone(app: App) -> None:
    of_one = App(app.api.client, app.double, google={"hd": "example.com"})
    for claims in ({"hd": "example.org"}, {"hd": "EXAMPLE.COM"}, {"hd": ["example.com"]}, {}):
        assert of_one.refusal("google", of_one.token("google", **claims)) == "audience"
    address = {"email": "a@example.com", "email_verified": True}
    assert of_one.refusal("google", of_one.token("google", **address)) == "audience"
    assert of_one.sign_in("google", of_one.token("google", hd="example.com")).status_code == 200
    assert of_one.sign_in("apple", of_one.token("apple")).status_code == 200
