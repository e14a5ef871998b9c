"""Attacks on signing in by redirect: what others could send, replace, replay or read."""

import re
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe

import pytest

from server.login_providers.pkce import challenge_of
from tests.api import ADMIN
from tests.hurried import Hurried
from tests.login_providers.signing import PROVIDERS, App
from tests.login_providers.trip import (
    HOME,
    REDIRECT_URIS,
    Trip,
    address,
    assert_no_way_back,
    waiting,
)
from tests.processes import Valkey


def test_a_state_is_good_once(site: App, valkey: Valkey) -> None:
    for provider in PROVIDERS:
        trip = Trip(site.api, provider)
        given = trip.agree()
        assert trip.at_app(trip.come_back(given)).keys() == {"code"}
        before, asked = waiting(valkey, site), site.at(provider).asked("token")
        for _ in range(2):
            assert_no_way_back(trip.come_back(given))
        assert waiting(valkey, site) == before
        assert site.at(provider).asked("token") == asked


def test_a_state_of_another_browser_gives_it_nothing(site: App) -> None:
    """Who has stolen it comes back with a code of their own, and has no verifier for what follows;
    and the one whom it was of does not come back a second time."""
    victim = Trip(site.api)
    given = victim.agree()
    thief = Trip(site.api)
    code = victim.at_app(thief.come_back({**given, "code": thief.agree()["code"]}))
    # The provider's code is bound to another verifier of ours.
    assert code == {"error": "server_error"}
    assert_no_way_back(victim.come_back(given))


def test_a_state_that_is_old(site: App, valkey: Valkey) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    (key,) = waiting(valkey, site)
    valkey.client.pexpire(key, 1)
    while valkey.client.exists(key):
        pass
    assert_no_way_back(trip.come_back(given))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("state", [None, "", "s", "x" * 43, "x" * 6_000, "*", "../", "\0", "é"])
def test_states_that_are_made_up(site: App, provider: str, state: str | None) -> None:
    waiting = Trip(site.api, provider)
    given = waiting.agree()
    made_up = {"code": given["code"]} | ({} if state is None else {"state": state})
    reply = Trip(site.api, provider).come_back(made_up)
    if len(state or "") > 5_000 and provider == "google":
        assert reply.status_code in (400, 414)  # of a URL
    else:
        assert_no_way_back(reply)
    assert waiting.at_app(waiting.come_back(given)).keys() == {"code"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_nonce_of_somebody_else(site: App, provider: str) -> None:
    """A code that was got with another nonce, for another browser, is for nobody here."""
    mine, others = Trip(site.api, provider), Trip(site.api, provider)
    given = mine.agree(re.sub(r"nonce=[^&]+", "nonce=of-somebody-else", mine.leave()))
    assert mine.at_app(mine.come_back(given)) == {"error": "server_error"}
    brought = {**mine.agree(), "code": others.agree()["code"]}
    assert mine.at_app(mine.come_back(brought)) == {"error": "server_error"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mixed_up_providers(site: App, provider: str, valkey: Valkey) -> None:
    """A state, and with it a code, at the other one's callback."""
    (other,) = set(PROVIDERS) - {provider}
    trip = Trip(site.api, provider)
    given = trip.agree()
    asked = [site.at(each).asked("token") for each in PROVIDERS]
    assert_no_way_back(Trip(site.api, other).come_back(given))
    assert_no_way_back(trip.come_back(given))
    assert [site.at(each).asked("token") for each in PROVIDERS] == asked
    assert not waiting(valkey, site)


def test_a_state_at_another_tenant(site: App) -> None:
    other = App(site.api.client, site.double, redirect_uris=REDIRECT_URIS)
    given = Trip(site.api).agree()
    assert_no_way_back(Trip(other.api).come_back(given))


@pytest.mark.parametrize(
    "issuer",
    ["https://evil.example", "", "https://accounts.google.com", "of Apple", "with a slash"],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_issuer_says_who_it_is(site: App, provider: str, issuer: str) -> None:
    """RFC 9207: then the code is not this provider's, and it is not told of it."""
    urls = {"of Apple": site.at("apple").url, "with a slash": site.at("google").url + "/"}
    said = urls.get(issuer, issuer)
    if said == site.at(provider).url:
        return
    trip = Trip(site.api, provider)
    given = trip.agree()
    asked = site.at(provider).asked("token")
    assert trip.at_app(trip.come_back(given, iss=said)) == {"error": "server_error"}
    assert site.at(provider).asked("token") == asked


def test_an_attackers_code_at_the_victims_app(site: App) -> None:
    """Login CSRF: the victim's app is sent the code of the attacker's account."""
    site.at("google").do("person", sub="attacker")
    code = Trip(site.api).code()
    victim = site.api.login()
    app_of_victim = Trip(site.api)
    before = victim.balance()
    for body in ({}, {"link": True}, {"newKey": True}):
        reply = app_of_victim.exchange(code, victim.api_key, **body)
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid code"})
    assert victim.balance() == before
    assert victim.charge(1).status_code == 200
    reply = site.api.get("/auth/me", victim.headers)
    assert reply.json()["identities"] == []


VERIFIERS = {
    "another": lambda own: token_urlsafe(48),
    "the challenge": lambda own: challenge_of(own),
    "shorter": lambda own: own[:-1],
    "longer": lambda own: own + "A",
    "of another case": lambda own: own.swapcase(),
}


@pytest.mark.parametrize("kind", VERIFIERS)
def test_a_stolen_code_is_of_no_use_and_ends(site: App, kind: str) -> None:
    trip = Trip(site.api)
    code = trip.code()
    reply = trip.exchange(code, codeVerifier=VERIFIERS[kind](trip.verifier))
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid code"})
    assert reply.headers["cache-control"] == "no-store"
    assert trip.exchange(code).status_code == 400, "nobody gets a second try"


def test_of_many_that_come_with_one_state_or_code_one_goes_on(site: App) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    with ThreadPoolExecutor(10) as pool:
        backs = [*pool.map(lambda _: trip.come_back(given), range(20))]
        assert sorted(back.status_code for back in backs) == [303] + [400] * 19
        (code,) = (trip.at_app(back)["code"] for back in backs if back.status_code == 303)
        found = sorted(pool.map(lambda _: trip.exchange(code).status_code, range(20)))
    assert found == [200] + [400] * 19


def test_a_code_is_good_once_and_for_its_tenant(site: App) -> None:
    trip = Trip(site.api)
    code = trip.code()
    other = App(site.api.client, site.double, redirect_uris=REDIRECT_URIS)
    body = {"code": code, "codeVerifier": trip.verifier}
    assert other.api.post("/auth/exchange", body, address()).status_code == 400
    assert trip.exchange(code).status_code == 200
    assert trip.exchange(code).status_code == 400


@pytest.mark.parametrize(
    ("body", "path"),
    [
        *[({"codeVerifier": odd}, "codeVerifier") for odd in ("", "v" * 42, "v" * 129, 5, None)],
        *[({"codeVerifier": odd * 43}, "codeVerifier") for odd in ("é", "/", " ", "\n")],
        *[({"code": odd}, "code") for odd in ("", "c" * 101, 5, None, ["c"])],
        ({"link": "true"}, "link"),
        ({"newKey": 1}, "newKey"),
        ({"redirectUri": HOME}, "redirectUri"),
    ],
)
def test_exchanges_that_are_wrong(site: App, body: dict[str, object], path: str) -> None:
    trip = Trip(site.api)
    code = trip.code()
    reply = trip.exchange(**{"code": code, **body})  # type: ignore[arg-type]
    assert reply.status_code == 422, reply.text
    assert [detail["path"] for detail in reply.json()["details"]] == [path]
    assert trip.exchange(code).status_code == 200, "nothing was used up"


def test_only_s256(site: App) -> None:
    """What asks for another method is not heard: a verifier in plain sight exchanges nothing."""
    trip = Trip(site.api)
    plain = "p" * 43
    trip.verifier = plain
    page = trip.start(codeChallenge=plain, codeChallengeMethod="plain").headers["location"]
    code = trip.at_app(trip.come_back(trip.agree(page)))["code"]
    assert trip.exchange(code).status_code == 400


def test_no_key_is_in_an_address_and_nothing_is_in_log_or_metrics(
    site: App, signing: Hurried
) -> None:
    person = {"sub": "subject-in-no-log", "email": "in-no-log@example.com"}
    seen: set[str] = set(person.values()) | {site.secret}
    for provider in PROVIDERS:
        site.at(provider).do("person", name="Nobody Logged", **person)
        for fault in ({}, {"status": 500}, {"status": 400, "body": '{"error": "invalid_client"}'}):
            site.at(provider).fault("token", **fault)
            user, trip = site.api.login(), Trip(site.api, provider)
            given = trip.agree()
            reply = trip.come_back(given)
            answer = trip.at_app(reply)
            assert user.api_key not in reply.headers["location"]
            assert not any(word in reply.headers["location"] for word in ("temp_", "key_", "sub"))
            seen |= {given["state"], given["code"], trip.verifier, trip.state, user.api_key}
            if "code" in answer:
                login = trip.exchange(answer["code"], user.api_key)
                seen |= {answer["code"], login.json()["apiKey"]}
            trip.come_back(given)
            trip.exchange("unknown-code-in-no-log", user.api_key)
    text = signing.text()
    assert f"Tenant {site.api.tenant_id}: no sign-in with Apple: status 500" in text
    text += site.api.client.get("/metrics", headers=ADMIN).text
    for secret in (*seen, "unknown-code-in-no-log", "Nobody Logged"):
        assert secret not in text


def test_a_bearer_that_is_none_bars_no_exchange(site: App) -> None:
    for key in ("temp_unknown", "rk_" + "a" * 20 + "_" + "0" * 32):
        site.at("google").do("person", sub=token_urlsafe())
        trip = Trip(site.api)
        reply = trip.exchange(trip.code(), key)
        assert (reply.status_code, reply.json()["created"]) == (200, True)
    user = site.api.login()
    site.at("google").do("person", sub=token_urlsafe())
    trip = Trip(site.api)
    reply = trip.exchange(trip.code(), user.restricted(tokens=5).api_key)
    assert reply.json()["userId"] != user.user_id
