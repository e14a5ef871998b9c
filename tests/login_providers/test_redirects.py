"""Signing in by redirect, from the app's page to its API key."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from server.blueprints.body import KIB
from server.blueprints.sign_in import LONGEST_CODE
from server.blueprints.start import LONGEST_STATE
from server.identity.redirects import CODE_MS, REDIRECT_MS
from server.login_providers.claims import LONGEST_SUBJECT
from server.login_providers.identity import LONGEST_EMAIL, LONGEST_NAME
from server.login_providers.redeem import LONGEST_REFRESH_TOKEN
from server.tenants.redirects import LONGEST_REDIRECT
from tests.api import config
from tests.doubles.sign_in import SignInDouble
from tests.login_providers.signing import GROUP, PER_MINUTE, PROVIDERS, App
from tests.login_providers.trip import (
    HOME,
    PUBLIC_URL,
    REDIRECT_URIS,
    Trip,
    address,
    assert_no_trace,
    waiting,
)
from tests.metrics.scrape import scrape
from tests.processes import Valkey
from tests.stored import now_ms


@pytest.mark.parametrize("provider", PROVIDERS)
def test_there_and_back(site: App, provider: str) -> None:
    site.at(provider).do("person", sub="117", email="ada@example.com", email_verified=True)
    anonymous = site.api.login()
    trip = Trip(site.api, provider)
    reply = trip.exchange(trip.code(), anonymous.api_key)
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    login = reply.json()
    assert (login["userId"], login["apiKey"]) == (anonymous.user_id, anonymous.api_key)
    assert (login["linked"], login["created"], login["group"]) == (True, False, "google_logged_in")
    assert login["profile"]["email"] == "ada@example.com"

    again = Trip(site.api, provider)
    other = again.exchange(again.code()).json()
    assert other["userId"] == anonymous.user_id
    assert other["apiKey"].startswith("key_")
    # By an ID token it is the same person.
    token = site.token(provider, sub="117")
    assert site.sign_in(provider, token).json()["userId"] == anonymous.user_id


def test_what_the_providers_are_asked(site: App) -> None:
    site.at("google").do("person")
    asked = {}
    for provider in PROVIDERS:
        page = urlsplit(Trip(site.api, provider).leave())
        asked[provider] = {name: values[0] for name, values in parse_qs(page.query).items()}
        assert "+" not in page.query
        assert asked[provider]["redirect_uri"].startswith(
            f"{PUBLIC_URL}/{site.api.tenant_id}/auth/"
        )
        secrets = (asked[provider][name] for name in ("state", "nonce"))
        assert all(len(secret) == 43 for secret in secrets)
    assert asked["google"]["scope"] == "openid email profile"
    assert asked["apple"]["scope"] == "name email"
    of_domain = App(site.api.client, site.double, google={"hd": "a.example"}, redirect_uris=[HOME])
    assert "&hd=a.example" in Trip(of_domain.api).leave()


@pytest.mark.parametrize("redirect_uri", REDIRECT_URIS)
def test_every_kind_of_address_is_come_back_to(site: App, redirect_uri: str) -> None:
    trip = Trip(site.api, redirect_uri=redirect_uri)
    assert trip.exchange(trip.code()).status_code == 200


def test_where_the_answer_stands(site: App) -> None:
    with_query = Trip(site.api, redirect_uri="https://app.example.com/signed-in?tab=1")
    location = with_query.come_back().headers["location"]
    assert location.startswith("https://app.example.com/signed-in?tab=1&code=")
    assert location.endswith("%26%3D%23%25"), "the state is escaped"
    intent = Trip(site.api, redirect_uri=REDIRECT_URIS[-1])
    location = intent.come_back().headers["location"]
    assert location.startswith("intent://signed-in/?code=")
    assert location.endswith("#Intent;scheme=exampleapp;package=com.example.app;end")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_program_on_the_persons_machine_takes_any_port(site: App, host: str) -> None:
    trip = Trip(site.api, redirect_uri=f"http://{host}:49152/in")
    assert trip.exchange(trip.code()).status_code == 200


def test_apples_name_comes_with_its_form_once(site: App) -> None:
    site.at("apple").do("person", sub="001.a", name="Ada Lovelace")
    names = []
    for _ in range(2):
        trip = Trip(site.api, "apple")
        names.append(trip.exchange(trip.code()).json()["profile"]["name"])
    assert names == ["Ada Lovelace", None]


ODD: list[object] = [None, 5, "Ada", [], {}, {"firstName": ["Ada"]}]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"name": {"firstName": "Ada"}}, "Ada"),
        ({"name": {"firstName": "", "lastName": " Lovelace "}}, "Lovelace"),
        ({"name": {"firstName": "a" * 150, "lastName": "b" * 150}}, "a" * 150 + " " + "b" * 49),
        *[({"name": odd}, None) for odd in ODD],
        *[(odd, None) for odd in ODD],
    ],
)
def test_names_of_apples_form(site: App, user: object, name: str | None) -> None:
    trip = Trip(site.api, "apple")
    reply = trip.come_back(user=json.dumps(user))
    profile = trip.exchange(trip.at_app(reply)["code"]).json()["profile"]
    assert profile == {"email": None, "emailVerified": False, "name": name}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_does_not_agree(site: App, provider: str) -> None:
    site.at(provider).do("person", denies=True)
    trip = Trip(site.api, provider)
    assert trip.at_app(trip.come_back()) == {"error": "access_denied"}


def test_who_is_not_of_the_tenants_domain(site: App) -> None:
    other = App(site.api.client, site.double, google={"hd": "a.example"}, redirect_uris=[HOME])
    other.at("google").client(other.web, secret=other.secret)
    for domain, answer in (("b.example", "error"), ("a.example", "code")):
        other.at("google").do("person", hd=domain)
        trip = Trip(other.api)
        assert trip.at_app(trip.come_back()).keys() == {answer}


FAULTS: dict[str, list[dict[str, Any]]] = {
    "temporarily_unavailable": [{"delay": 30}],
    "server_error": [
        {"status": 500},
        {"status": 200, "body": "{}"},
        {"status": 200, "body": '{"id_token": "a.b.c"}'},
        {"status": 400, "body": '{"error": "invalid_client"}'},
        {"status": 400, "body": '{"error": "invalid_grant"}'},
    ],
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("error", FAULTS)
def test_a_provider_that_fails(site: App, provider: str, error: str) -> None:
    for fault in FAULTS[error]:
        site.at(provider).fault("token", **fault)
        trip = Trip(site.api, provider)
        assert trip.at_app(trip.come_back()) == {"error": error}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("invalid_scope", "server_error"),
        ("", "server_error"),
        ('"><script>', "server_error"),
    ],
)
def test_what_a_provider_says_is_told_in_few_words(site: App, said: str, told: str) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    assert trip.at_app(trip.come_back(given, error=said)) == {"error": told}


@pytest.mark.parametrize("code", ["", "c" * (LONGEST_CODE + 1), "unknown"])
def test_a_code_that_is_none(site: App, code: str) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    before = site.at("google").asked("token")
    assert trip.at_app(trip.come_back(given, code=code)) == {"error": "server_error"}
    assert site.at("google").asked("token") - before == (code == "unknown")


def test_where_redirects_are_not_configured(caller: httpx.Client, double: SignInDouble) -> None:
    trip = Trip(App(caller, double, google={"client_id": None}).api)
    for reply in (trip.start(), trip.come_back({"state": "s", "code": "c"})):
        assert (reply.status_code, reply.json()) == (404, {"error": "Login method not configured"})
        assert_no_trace(reply)


def test_sign_ins_by_redirect_are_limited_by_address(site: App) -> None:
    trip = Trip(site.api)
    query = {"redirectUri": HOME, "codeChallenge": "c" * 43, "state": "s"}
    url, one = f"/{site.api.tenant_id}/auth/google/start", address()
    replies = [site.api.client.get(url, params=query, headers=one) for _ in range(PER_MINUTE + 1)]
    assert [reply.status_code for reply in replies] == [303] * PER_MINUTE + [429]
    assert replies[-1].headers["retry-after"]
    assert_no_trace(replies[-1])
    body = {"code": "c", "codeVerifier": trip.verifier}
    assert site.api.post("/auth/exchange", body, one).status_code == 429


@pytest.mark.parametrize(("network", "most"), [("2001:db8::/56", 4), ("2001:db8::/48", 10)])
def test_networks_of_ipv6_are_limited_by_the_hour(
    site: App, valkey: Valkey, network: str, most: int
) -> None:
    most *= 60 * PER_MINUTE
    key = f"{{tenant:{site.api.tenant_id}:logins}}:hour:sign-in:{network}"
    valkey.client.rpush(key, *[now_ms(valkey)] * (most - 1))
    query = {"redirectUri": HOME, "codeChallenge": "c" * 43, "state": "s"}
    url = f"/{site.api.tenant_id}/auth/google/start"
    found = []
    for client in range(2):
        headers = {"x-forwarded-for": f"2001:db8:0:{client}::1"}
        found.append(site.api.client.get(url, params=query, headers=headers).status_code)
    assert found == [303, 429]


def test_a_page_of_another_origin_exchanges_nothing(site: App) -> None:
    origins = {"allowed_origins": ["https://app.example.com"]}
    site.api.put_config(config(**GROUP) | {"auth": site.auth} | origins)
    trip = Trip(site.api, "apple")
    code = trip.code()  # Apple's form comes from yet another origin
    body = {"code": code, "codeVerifier": trip.verifier}
    for origin, status in (("https://evil.example", 403), ("https://app.example.com", 200)):
        headers = {**address(), "Origin": origin}
        assert site.api.post("/auth/exchange", body, headers).status_code == status


def test_what_is_kept_expires(site: App, valkey: Valkey) -> None:
    def kept(what: str) -> dict[str, int]:
        pattern = f"tenant:{site.api.tenant_id}:{what}:*"
        return {
            key: int(valkey.client.pttl(key))
            for key in valkey.client.scan_iter(pattern, count=1000)
        }

    trip = Trip(site.api)
    given = trip.agree()
    ((key, left_ms),) = kept("auth").items()
    assert 0 < left_ms <= REDIRECT_MS == 600_000
    assert given["state"] not in key
    code = trip.at_app(trip.come_back(given))["code"]
    assert not kept("auth")
    ((key, left_ms),) = kept("code").items()
    assert 0 < left_ms <= CODE_MS == 60_000
    assert code not in key
    assert trip.exchange(code).status_code == 200
    assert not kept("code")


def test_what_a_browser_on_its_way_takes(site: App, valkey: Valkey) -> None:
    longest = HOME.ljust(LONGEST_REDIRECT, "x")
    auth = {**site.auth, "redirect_uris": [longest]}
    assert site.api.put_config(config(**GROUP) | {"auth": auth}).status_code == 200
    email = "é" * LONGEST_EMAIL
    site.at("apple").do("person", sub="s" * LONGEST_SUBJECT, email=email, name="é" * LONGEST_NAME)
    trip = Trip(site.api, "apple", longest)
    trip.state = "s" * LONGEST_STATE
    given = trip.agree()
    (flow,) = waiting(valkey, site)
    assert (valkey.client.memory_usage(flow) or 0) <= 2 * KIB
    assert trip.at_app(trip.come_back(given)).keys() == {"code"}
    (code,) = waiting(valkey, site)
    assert (valkey.client.memory_usage(code) or 0) + LONGEST_REFRESH_TOKEN <= 5 * KIB


def test_steps_are_counted(site: App, caller: httpx.Client) -> None:
    before = scrape(caller)
    trip = Trip(site.api)
    assert trip.exchange(trip.code()).status_code == 200
    assert trip.exchange("c").status_code == 400
    assert trip.start(state="").status_code == 422
    assert trip.come_back({"state": "s"}).status_code == 400
    site.at("google").do("person", denies=True)
    trip.come_back()
    after = scrape(caller)

    def counted(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    of_redirects = {("start", "sent"): 2, ("start", "invalid"): 1, ("callback", "code"): 1}
    of_redirects |= {("callback", "invalid_state"): 1, ("callback", "access_denied"): 1}
    for (step, outcome), number in of_redirects.items():
        labels = {"provider": "google", "step": step, "outcome": outcome}
        assert counted("vibe_sign_in_redirects_total", **labels) == number, labels
    for provider, outcome in (("google", "signed_in"), ("unknown", "invalid_code")):
        assert counted("vibe_sign_ins_total", provider=provider, outcome=outcome) == 1
